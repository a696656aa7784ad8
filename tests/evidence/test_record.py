"""Records of what was done to a file: what they hold, and that any change is found and named."""

import json
import os
import random
import re
import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import pytest
from evidence.conftest import FLAGS, Recorded
from support.clips import ClipOptions, write_clip
from support.long_jobs import stopped

from vsr.archive import Naming, find_archive
from vsr.cli.main import run
from vsr.durable import sha256_of
from vsr.errors import VerifyError
from vsr.evidence import check_evidence, shown_pairs
from vsr.jobs import find_jobs
from vsr.models.files.checkpoint import save_network


def columns(folder: Path) -> list[list[str]]:
    return [line.split(", ") for line in (folder / "frames.txt").read_text().splitlines()[5:]]


def log_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def shown_sources(folder: Path) -> list[str]:
    return re.findall(r'class="before"[^>]*src="([^"]+)', (folder / "report.html").read_text())


def by_ffmpeg(path: Path) -> list[str]:
    words = ["-v", "error", "-i", str(path), "-map", "0:v", "-f", "framehash", "-hash", "sha256", "-"]
    told = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), *words], capture_output=True, text=True, check=True
    )
    return [line.split()[-1] for line in told.stdout.splitlines() if not line.startswith("#")]


def test_hashes_of_frames_are_those_that_ffmpeg_makes(original):
    frames = columns(original.folder)
    assert [frame[2] for frame in frames] == by_ffmpeg(original.source)
    assert [frame[4] for frame in frames] == by_ffmpeg(original.result)


def test_a_record_names_case_source_result_and_models(original):
    record = json.loads((original.folder / "record.json").read_text())
    assert (record["case"], record["frames"]["count"], record["generative"]) == ("2026/17", 12, [])
    for name, path in (("source", original.source), ("result", original.result)):
        assert record[name]["sha256"] == sha256_of(path)
    assert record["models"][0]["cards"]["nano-x2"]["trained on"] == record["models"][0]["trained_on"] != ""
    steps = [entry["step"] for entry in log_of(original.folder)]
    assert steps[:4] == ["begun", "found", "decided", "model"]
    assert steps[-1] == "finished"


def check(recorded: Recorded, *, decode: bool = False) -> str:
    """What is wrong by `verify`; empty where nothing is."""
    try:
        list(check_evidence(recorded.folder, source=recorded.source, result=recorded.result, decode=decode))
    except VerifyError as error:
        return str(error)
    return ""


def test_what_nobody_touched_is_as_it_was_wherever_it_lies(recorded, capsys):
    assert check(recorded, decode=True) == ""
    place = [str(recorded.folder), "--source", str(recorded.source), "--result", str(recorded.result)]
    assert run(["evidence", "verify", *place]) == 0
    assert "all of it is as it was" in capsys.readouterr().out
    recorded.source.rename(recorded.root / "elsewhere.mp4")
    assert run(["evidence", "verify", *place]) == 3
    assert "--source names where it lies" in capsys.readouterr().err


def one_change(chance: random.Random, content: bytes, *, in_lines: bool) -> tuple[bytes, int]:
    """Change a bit, or take out or swap lines; returns what is left, and the first line that is not what it was."""
    kind = chance.choice(["bit", "bit", "deleted", "swapped"]) if in_lines else "bit"
    if kind == "bit":
        at = chance.randrange(len(content))
        changed = bytes([content[at] ^ 1 << chance.randrange(8)])
        return content[:at] + changed + content[at + 1 :], content.count(b"\n", 0, at)
    lines = content.splitlines(keepends=True)
    first = chance.randrange(len(lines) - 1)
    if kind == "deleted":
        return b"".join(lines[:first] + lines[first + 1 :]), first
    second = chance.randrange(first + 1, len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"".join(lines), first


def change_again_and_again(recorded: Recorded, *, times: int, seed: int) -> None:
    chance, files = random.Random(seed), recorded.files
    for number in range(times):
        name = list(files)[number % len(files)]
        content = files[name].read_bytes()
        changed, line = one_change(chance, content, in_lines=name in ("log.jsonl", "frames.txt"))
        files[name].write_bytes(changed)
        told = check(recorded)
        assert name in told, (name, line, told)
        if name == "log.jsonl":
            assert f"line {line + 1} " in told
        if name == "frames.txt" and line >= 5:
            assert f"frame {line - 5} " in told
        if name in ("in.mp4", "out.mp4"):
            assert re.search(r"frame \d+|its pictures are as they were", told)
        files[name].write_bytes(content)
    assert check(recorded, decode=True) == ""


def test_single_changes_are_found_and_named(recorded):
    change_again_and_again(recorded, times=100, seed=17)


@pytest.mark.slow
def test_a_thousand_single_changes_are_found_and_named(recorded):
    change_again_and_again(recorded, times=1000, seed=71)


def test_a_frame_that_is_not_in_the_result_any_more_is_named(recorded):
    frames = ["-frames:v", "11", "-c", "copy", str(recorded.root / "less.mp4")]
    words = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(recorded.result), *frames]
    subprocess.run(words, check=True)
    (recorded.root / "less.mp4").replace(recorded.result)
    assert "out.mp4 is not the file of the record" in check(recorded)
    assert "frame 11 and what follows is missing" in check(recorded)


def test_segments_and_a_job_that_was_ended_have_the_hashes_of_one_piece(original, tmp_path):
    clip, out = original.copied(tmp_path / "here").source, tmp_path / "out.mp4"
    wanted = ["--evidence", str(tmp_path / "evidence"), "--segment", "0.2", "--model", "nano-x2"]
    stopped(clip, out, *wanted, segments=1)
    words = ["enhance", str(clip), "-o", str(out), *FLAGS, *wanted[:4]]
    assert run(words) == 0
    assert [frame[:4] for frame in columns(tmp_path / "evidence")] == [
        frame[:4] for frame in columns(original.folder)
    ]
    assert shown_sources(tmp_path / "evidence") == shown_sources(original.folder)
    steps = [entry["step"] for entry in log_of(tmp_path / "evidence")]
    assert steps.index("interrupted") < steps.index("went on") < steps.index("finished")
    assert list(check_evidence(tmp_path / "evidence"))


def test_source_frames_of_the_page_are_not_decoded_again(original, tmp_path, monkeypatch):
    again: list[int] = []
    monkeypatch.setattr(shown_pairs, "_source_frame", lambda _plan, number, _noted: again.append(number))
    words = ["enhance", str(original.source), "-o", str(tmp_path / "out.mp4"), *FLAGS]
    assert run([*words, "--evidence", str(tmp_path / "evidence")]) == 0
    assert again == []
    shown = shown_sources(tmp_path / "evidence")
    assert len(set(shown)) == 3
    assert shown == shown_sources(original.folder)


def test_pictures_that_the_decoder_patched_up_have_their_numbers(tmp_path):
    clip, folder = write_clip(tmp_path / "in.mp4", ClipOptions(size=(96, 128), gop=4)), tmp_path / "evidence"
    with av.open(str(clip)) as container:
        packet = next(packet for packet in container.demux(video=0) if packet.pts == 7)
        first, last = packet.pos + packet.size // 2, packet.pos + packet.size // 2 + 20
    content = clip.read_bytes()
    clip.write_bytes(content[:first] + bytes(byte ^ 255 for byte in content[first:last]) + content[last:])
    words = ["enhance", str(clip), "-o", str(tmp_path / "out.mp4"), *FLAGS, "--evidence", str(folder)]
    assert run(words) == 0
    assert json.loads((folder / "record.json").read_text())["frames"]["patched_up"] == [7]
    assert [frame[5] for frame in columns(folder)].index("patched") == 7
    assert "1 picture of the source was damaged" in (folder / "report.html").read_text()


def test_a_second_output_is_checked_too(original, tmp_path, capsys):
    words = ["enhance", str(original.source), "-o", str(tmp_path / "out.mp4"), *FLAGS]
    words += ["--also", "_view.mp4", "--also-preset", "ultrafast", "--evidence", str(tmp_path / "e")]
    assert run(words) == 0
    assert run(["evidence", "verify", str(tmp_path / "e"), "--quick"]) == 0
    view = tmp_path / "out_view.mp4"
    view.write_bytes(view.read_bytes()[:-1] + b"!")
    assert run(["evidence", "verify", str(tmp_path / "e"), "--quick"]) == 3
    assert "out_view.mp4 is not the file of the record" in capsys.readouterr().err


@pytest.mark.slow
def test_workers_have_the_hashes_of_one_piece(original, tmp_path):
    wanted = ["--evidence", str(tmp_path / "evidence"), "--segment", "0.2", "--workers", "2"]
    assert run(["enhance", str(original.source), "-o", str(tmp_path / "out.mp4"), *FLAGS, *wanted]) == 0
    assert [frame[:4] for frame in columns(tmp_path / "evidence")] == [
        frame[:4] for frame in columns(original.folder)
    ]


def test_models_that_paint_or_that_nobody_knows_are_refused_or_marked(original, tmp_path, capsys):
    from support.networks import tiny

    folder, own = tmp_path / "evidence", tmp_path / "own.safetensors"
    save_network(own, tiny(2))
    words = [
        "enhance",
        str(original.source),
        "-o",
        str(tmp_path / "out.mp4"),
        "--evidence",
        str(folder),
        "--quiet",
    ]
    assert run([*words, "--model", "fast-sharp-x2"]) == 2
    assert "fast-sharp-x2 is generative" in capsys.readouterr().err
    assert run([*words, "--model", str(own)]) == 2
    assert "is in no catalogue" in capsys.readouterr().err
    assert run([*words, "--model", str(own), "--allow-generative", "--preset", "ultrafast"]) == 0
    assert "own" in json.loads((folder / "record.json").read_text())["generative"][0]
    assert [entry["step"] for entry in log_of(folder)].count("failed") == 2


def test_nothing_of_others_is_taken_for_a_record(original, tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("mine")
    words = ["enhance", str(original.source), "-o", str(tmp_path / "out.mp4"), *FLAGS]
    assert run([*words, "--evidence", str(tmp_path)]) == 2
    assert "holds other files" in capsys.readouterr().err
    assert run([*words, "--evidence", str(original.folder)]) == 2
    assert "holds a finished record" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_picture_has_a_record_too(tmp_path):
    import cv2
    import numpy as np

    cv2.imwrite(str(tmp_path / "in.png"), np.random.default_rng(3).integers(0, 255, (20, 30, 3), np.uint8))
    words = [
        "enhance",
        str(tmp_path / "in.png"),
        "-o",
        str(tmp_path / "out.png"),
        "--model",
        "nano-x2",
        "--quiet",
    ]
    assert run([*words, "--evidence", str(tmp_path / "evidence")]) == 0
    ((number, _, _, given, result, *_),) = columns(tmp_path / "evidence")
    assert (number, given) == ("0", result)
    assert list(check_evidence(tmp_path / "evidence"))


def test_a_copy_of_the_source_lies_beside_its_record(tmp_path, capsys):
    clip, folder = write_clip(tmp_path / "in.mp4", ClipOptions(num_frames=6)), tmp_path / "evidence"
    words = ["enhance", str(clip), "-o", str(tmp_path / "out.mp4"), *FLAGS]
    assert run([*words, "--copy-source"]) == 2
    assert "give evidence" in capsys.readouterr().err
    assert run([*words, "--evidence", str(folder), "--copy-source"]) == 0
    copy = folder / "source" / "in.mp4"
    assert copy.read_bytes() == clip.read_bytes()
    assert copy.stat().st_mtime == clip.stat().st_mtime
    assert any(line.startswith("copy of the source") for line in check_evidence(folder))
    for pattern in (tmp_path, tmp_path / "**" / "*.mp4"):
        assert [job.path.name for job in find_jobs([str(pattern)])] == ["in.mp4", "out.mp4"]
        found = find_archive(str(pattern), Naming(tmp_path / "results"))
        assert [job.path.name for job in found] == ["in.mp4", "out.mp4"]
    for named in (folder / "source", folder / "source" / "*.mp4"):
        assert [job.path for job in find_jobs([str(named)])] == [copy]
    clip.unlink()
    assert list(check_evidence(folder, source=copy))
    clip.write_bytes(content := copy.read_bytes())
    copy.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(VerifyError, match=r"source.in\.mp4 is not the source of the record"):
        list(check_evidence(folder))


def test_names_that_are_no_text_are_recorded(tmp_path, capfd):
    """As cameras and old archives write them; `record.json` and the page stay UTF-8."""
    source, result = (tmp_path / os.fsdecode(name) for name in (b"Z\xfcrich.mp4", b"gro\xdf.mp4"))
    write_clip(tmp_path / "in.mp4", ClipOptions(num_frames=3)).rename(source)
    folder = tmp_path / "record"
    words = [
        "enhance",
        str(source),
        "-o",
        str(result),
        "--evidence",
        str(folder),
        "--support",
        ".json",
        *FLAGS,
    ]
    assert run([*words, "--copy-source"]) == 0
    for command in ("verify", "show", "replay"):
        assert run(["evidence", command, str(folder)]) == 0
    for path in folder.iterdir():
        assert not path.is_file() or path.read_bytes().decode()
    assert "unexpected" not in capfd.readouterr().err
