"""Every call that changes files, failing or killing its process: the same command again ends as if nothing had been.

Work is short and long, a picture, two outputs and an archive. Files of others lie between ours, and stay.
`VSR_EVERY_FAULT=1` takes every call instead of a share of them; 2, 3 and so on have other kinds of faults at each.
"""

import errno
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.archives import picture
from support.clips import ClipOptions, write_clip
from support.faults import CALLS, KILL, SHORT, FaultyCommand, Ran, why_no_faults
from support.long_jobs import contents

from vsr.durable import sha256_of

FLAGS = ["--model", "bicubic-x2", "--preset", "ultrafast", "--threads", "1", "--quiet"]
FAULTS = {
    "KILL": KILL,
    "ENOSPC": errno.ENOSPC,
    "EIO": errno.EIO,
    "EACCES": errno.EACCES,
    "EDQUOT": errno.EDQUOT,
}
OF_WRITES = FAULTS | {"SHORT": SHORT}
JOBS = {
    "short": ["enhance", "a.mkv", "-o", "r.mkv", "--segment", "off", "--sidecar"],
    "long": ["enhance", "a.mkv", "-o", "r.mkv", "--segment", "0.3", "--sidecar"],
    "picture": ["enhance", "b.png", "-o", "r.png", "--sidecar"],
    "two outputs": ["enhance", "a.mkv", "-o", "r.mkv", "--also", "s.mp4", "--segment", "off"],
    "archive": ["batch", ".", "-o", ".", "--sidecar"],
}
SHARE = {"archive": 4}
"""How many places of each call are tried, if not 5."""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_no_faults()), reason=why_no_faults())]


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    write_clip(folder / "a.mkv", ClipOptions(num_frames=20, size=(32, 48), gop=5, audio=True))
    picture(folder / "b.png")
    return folder


@pytest.fixture(scope="module")
def command(sources, tmp_path_factory) -> Iterator[FaultyCommand]:
    place = tmp_path_factory.mktemp("command")
    (place / "out").mkdir()
    with FaultyCommand(place, *words("short", sources, place / "out")) as started:
        yield started


def words(job: str, sources: Path, out: Path) -> list[str]:
    """The command of a job, from a folder into another one."""
    named, source, _, target, *flags = JOBS[job]
    places = {"-o": str(out / target)} | ({"--also": str(out / flags[1])} if flags[0] == "--also" else {})
    rest = [flag for flag in flags if flag not in ("--also", "s.mp4")]
    return [named, str(sources / source), *(word for pair in places.items() for word in pair), *rest, *FLAGS]


def put_others(folder: Path) -> dict[str, bytes]:
    """Files of others beside ours; returns what is to be there in the end."""
    for name in (
        "thesis.txt",
        "r.txt",
        ".r.mkv.part",
        ".r.mkv.4711-ab.part/video.nut",
        ".other.mkv.vsr/journal",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(f"years of {name}".encode())
    (folder / "joined.mkv").symlink_to(folder / "thesis.txt")
    (folder / ".q.mkv.vsr").symlink_to(folder / ".other.mkv.vsr")
    return {str(path.relative_to(folder)): looks(path) for path in folder.rglob("*")}


def looks(path: Path) -> bytes:
    facts = path.lstat()
    content = (
        os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
    )
    times = b"" if path.is_dir() else f"{facts.st_ino} {facts.st_mtime_ns}".encode()
    return times + content


def made(folder: Path, others: dict[str, bytes]) -> dict[str, object]:
    """What lies in a folder beside the files of others, which must be as they were: results by what they show."""
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*"))}
    assert {name: looks(found[name]) for name in others if name in found} == others
    return {
        name: shows(path) if is_result(name) else None for name, path in found.items() if name not in others
    }


def shows(path: Path) -> object:
    """What a file of ours says, whenever and in whichever order it was made."""
    if path.suffix in (".mkv", ".mp4") and path.is_file():
        return contents(path)
    if path.name.endswith(".vsr.json"):
        record = json.loads(path.read_text())
        assert record["result"]["sha256"] == sha256_of(path.with_name(path.name.removesuffix(".vsr.json")))
        return {name: record[name] for name in ("source", "models", "options", "crop", "notes")}
    if path.name == "manifest.json":
        files = json.loads(path.read_text())["files"]
        return [(file["status"], file["result_path"], "result" in file) for file in files]
    if path.name == "manifest.csv":
        return [line.split(",")[:3] for line in path.read_text().splitlines()]
    return None if path.is_dir() or path.suffix == ".sqlite" else path.read_bytes()


def is_result(name: str) -> bool:
    return not name.startswith(".") and not Path(name).parts[0].startswith(".")


def check(command: FaultyCommand, job: str, sources: Path, out: Path, expected: dict, fault: tuple) -> Ran:
    """Run a job with a fault and then without one, and see what lies there after either."""
    others = put_others(out)
    ran = command.run(words(job, sources, out), out, call=fault[0], nth=fault[1], what=fault[2])
    assert ran.code >= 0 or fault[2] == KILL, ran
    lies = made(out, others)
    if ran.code == 3 or job == "archive":  # it could not be read back, and is kept for somebody to look at
        others |= {name: looks(out / name) for name in lies if ".unverified." in name}
        lies = made(out, others)
    for name in filter(is_result, lies):
        if "manifest" not in name:  # which tells of failures
            assert lies[name] == expected[name], (name, ran)
    if ran.code == 0:  # then what could not be removed may lie there
        assert lies.items() >= {name: expected[name] for name in filter(is_result, expected)}.items(), ran
    if ran.code > 0:
        assert "unexpected" not in ran.said, ran
        # PyAV tells of workers that are ended while it reads.
        assert job == "archive" or (ran.said.count("\n") <= 8 and "Traceback" not in ran.said), ran
    again = command.run(words(job, sources, out), out)
    done = again.code == 1 and "exists; pass --overwrite" in again.said
    assert again.code == 0 or (done and ran.code != 1), (ran, again)
    lies = made(out, others)
    if ran.code == 0 and fault[0] == "unlink":  # nothing was to be done again, so nothing was cleaned up
        lies = {name: lies[name] for name in lies if is_result(name) or name in expected}
    assert lies == expected, (ran, again)
    return ran


def places(job: str, count: int) -> list[int]:
    """Which of so many calls are tried: all, or some from the first to the last."""
    most = count if os.environ.get("VSR_EVERY_FAULT") else min(count, SHARE.get(job, 5))
    return sorted({1 + round(n * (count - 1) / max(1, most - 1)) for n in range(most)})


@pytest.mark.parametrize("job", JOBS)
def test_after_any_fault_the_same_command_ends_as_if_there_had_been_none(command, sources, tmp_path, job):
    out = tmp_path / "undisturbed"
    out.mkdir()
    others = put_others(out)
    whole = command.run(words(job, sources, out), out)
    assert whole.code == 0, whole
    turn = int(os.environ.get("VSR_EVERY_FAULT", "0"))
    expected, results = made(out, others), Counter[tuple[str, str, str]]()
    wrong = []
    for call in CALLS:
        kinds = list((OF_WRITES if call == "write" else FAULTS).items())
        for nth in places(job, whole.counts[call]):
            turn += 1
            name, what = kinds[turn % len(kinds)]
            place = tmp_path / f"{call} {nth} {name}"
            place.mkdir()
            try:
                ran = check(command, job, sources, place, expected, (call, nth, what))
            except AssertionError as error:
                wrong.append(f"{place.name}: {error}")
                continue
            how = "not met" if not ran.fired else "killed" if ran.code < 0 else f"exit code {ran.code}"
            results[call, name, how] += 1
            shutil.rmtree(place)
    for (call, name, how), count in sorted(results.items()):
        print(f"{job:12} {call:7} {name:7} {how:12} {count}")
    assert not wrong, "\n\n".join(wrong)
    assert sum(count for (*_, how), count in results.items() if how != "not met") > 15
