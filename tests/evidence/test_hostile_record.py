"""Records that somebody has made up: their seals fit, and what they hold is not what a record holds."""

import copy
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from evidence.test_live_record import begin, kept  # noqa: F401 (a fixture)

from vsr.cli.main import run
from vsr.errors import VsrError
from vsr.evidence import check_evidence, check_live, live_summary, load_record
from vsr.evidence.replay import recorded_options
from vsr.evidence.seals import sealed, unsealed

VALUES = [None, True, -1, 10**400, 0.5, "", "x\0y", "../..", "\ud800", [], [1], {}, {"a": 1}, "DELETED"]


def places(value: object, way: tuple = ()) -> Iterator[tuple]:
    """The way to every entry, at any depth."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, each in entries:
        yield (*way, key)
        yield from places(each, (*way, key))


def changed(value: dict, way: tuple, new: object) -> dict:
    made = inside = copy.deepcopy(value)
    for key in way[:-1]:
        inside = inside[key]
    if new == "DELETED":
        del inside[way[-1]]
    else:
        inside[way[-1]] = new
    return made


def tells_in_a_line(check: Callable[[], object]) -> str:
    """What is wrong; empty where nothing is. Any error but ours is a fault."""
    try:
        check()
    except VsrError as error:
        return str(error)
    return ""


def test_a_record_that_lacks_something_is_told_in_a_line(recorded):
    path = recorded.folder / "record.json"
    record = json.loads(path.read_text())
    del record["seal"]
    record["signer"] = None
    random.seed(4)
    ways = random.sample(list(places(record)), 120) + [(key,) for key in record]
    told = []
    for way in ways:
        for new in random.sample(VALUES, 4):
            path.write_text(sealed(changed(record, way, new), indent=1))
            told.append(tells_in_a_line(lambda: list(check_evidence(recorded.folder, decode=False))))
            tells_in_a_line(lambda: recorded_options(load_record(recorded.folder), None))
    assert sum(map(bool, told)) > len(told) / 10


@pytest.mark.parametrize(
    ("way", "new", "told"),
    [
        (("finished",), "DELETED", "record.json: finished is missing"),
        (("source",), None, "record.json: source is None; an object is expected"),
        (("frames", "count"), "12", "record.json: frames count is '12'; a whole number is expected"),
        (
            ("source", "pictures"),
            [[1, "../a.png"]],
            "record.json: source pictures 1 2 cannot be '../a.png'",
        ),
        (("models", 0, "device"), "DELETED", "record.json: models 1 device is missing"),
        (("signer",), {"Ed25519": "12"}, "record.json: signer Ed25519 cannot be '12'"),
    ],
)
def test_what_it_lacks_is_named(way, new, told, recorded, capsys):
    path = recorded.folder / "record.json"
    record = json.loads(path.read_text())
    del record["seal"]
    path.write_text(sealed(changed(record, way, new), indent=1))
    for command in ("verify", "replay"):
        assert run(["evidence", command, str(recorded.folder)]) == 3
        assert told in capsys.readouterr().err


def test_one_that_is_nested_without_end_is_refused(recorded, capsys):
    head = '{"format": "vsr evidence", "a": ' + "[" * 100_000 + "]" * 100_000
    text = sealed({"x": 1}, indent=1).replace('{\n "x": 1', head)
    (recorded.folder / "record.json").write_text(text)
    assert run(["evidence", "show", str(recorded.folder)]) == 3
    assert "record.json: " in capsys.readouterr().err


@pytest.mark.parametrize("name", ["log.jsonl", "frames.txt", "report.html", "support.json", "record.sig"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_has_no_end_is_not_read(name, kind, recorded, capsys):
    path = recorded.folder / name
    path.unlink()
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    assert run(["evidence", "verify", str(recorded.folder), "--quick"]) == 3
    assert f"{path} is no file; a record is made of files" in capsys.readouterr().err


def test_a_record_does_not_say_who_makes_it_again(original):
    record = load_record(original.folder)
    record["options"]["job"] |= {"cluster": "192.0.2.1:6379", "segment": 5.0}
    job = recorded_options(record, None).job
    assert (job.cluster, job.workers, job.segment, job.restart) == ("", "auto", 5.0, True)


def write_log(folder: Path, entries: list[dict]) -> None:
    lines, seal = [], ""
    for entry in entries:
        lines.append(sealed(entry, before=seal))
        seal = unsealed(lines[-1], before=seal)[1]
    (folder / "log.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (folder / "head.json").write_text(sealed({"lines": len(lines), "last": seal}))


def test_a_cameras_log_that_lacks_something_is_told_in_a_line(kept, tmp_path):  # noqa: F811
    folder = Path(shutil.copytree(kept, tmp_path / "door")) / "evidence"
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    for entry in entries:
        del entry["seal"]
    write_log(folder, entries)
    random.seed(5)
    told = []
    for number, way in random.sample([(n, way) for n, e in enumerate(entries) for way in places(e)], 150):
        for new in random.sample(VALUES, 4):
            write_log(folder, [*entries[:number], changed(entries[number], way, new), *entries[number + 1 :]])
            told.append(tells_in_a_line(lambda: list(check_live(folder))))
            tells_in_a_line(lambda: live_summary(folder))
    assert sum(map(bool, told)) > len(told) / 4
    for entries_left in ([], entries[1:]):
        write_log(folder, entries_left)
        assert "log.jsonl: " in tells_in_a_line(lambda: list(check_live(folder)))


def test_a_log_whose_first_line_was_cut_off_begins_anew(tmp_path):
    record = begin(tmp_path / "door")
    record._log.close()
    log = tmp_path / "door" / "evidence" / "log.jsonl"
    log.write_bytes(log.read_bytes().split(b"\n")[0][:40])
    begin(tmp_path / "door").end()
    begin(tmp_path / "door").end()  # and goes on
    assert list(check_live(log.parent))[-1] == "the service has ended the record"
