"""The command as a user runs it, on real files, through real FFmpeg; an independent reader reads what comes out."""

import json
import os
import signal
import subprocess
import time
import tomllib
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from support.clips import plane_view, read_number, read_video, run_ffmpeg
from support.processes import at_work_on, begin_command

from vsr.cli.enhance import RunOptions
from vsr.cli.fetch_models import FetchFlags
from vsr.cli.main import run
from vsr.media.probe_video import best_stream
from vsr.options import (
    AlsoOptions,
    EncodeOptions,
    EngineOptions,
    JobOptions,
    ModelOptions,
    PictureOptions,
    ReadOptions,
)

FAST = ["--preset", "ultrafast", "--quiet"]


def audio_packets(path: Path) -> list[tuple[int, list[tuple[Fraction, bytes]]]]:
    """Time and bytes of every packet of every audio stream."""
    with av.open(str(path)) as container:
        streams = {stream.index: [] for stream in container.streams.audio}
        for packet in container.demux(audio=tuple(range(len(streams)))) if streams else ():
            if packet.size:
                streams[packet.stream.index].append((packet.pts * packet.time_base, bytes(packet)))
        return sorted(streams.items())


def temporaries(folder: Path) -> list[str]:
    return [
        p.name
        for p in folder.iterdir()
        if p.name.startswith(".") or "unverified" in p.name or ".part" in p.name
    ]


def children() -> list[str]:
    listed = subprocess.run(["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if "ffmpeg" in line and "ps -o" not in line]


@pytest.mark.parametrize("extension", ["mp4", "mkv", "mov"])
def test_every_frame_and_its_time_come_back_at_twice_the_size(make_clip, tmp_path, extension):
    clip = make_clip(
        f"in.{extension}", num_frames=14, audio=True, subtitles=extension != "mov", chapters=True, b_frames=2
    )
    out = tmp_path / f"out.{extension}"
    assert run(["enhance", str(clip), "-o", str(out), *FAST]) == 0
    before, _ = read_video(clip)
    after, frames = read_video(out)
    assert after == before
    assert [read_number(plane_view(frame, 0)) for frame in frames] == list(range(14))
    assert (frames[0].height, frames[0].width) == (96, 128)
    theirs, ours = audio_packets(clip), audio_packets(out)
    assert [[data for _, data in packets] for _, packets in ours] == [
        [data for _, data in packets] for _, packets in theirs
    ]
    assert not temporaries(tmp_path)


def test_variable_frame_rate_and_start_offset_are_kept(make_clip, tmp_path):
    pts = [90, 100, 130, 131, 175, 300, 301, 302, 500]
    clip = make_clip("vfr.mkv", num_frames=9, pts=pts, time_base=Fraction(1, 100))
    assert run(["enhance", str(clip), "-o", str(tmp_path / "o.mkv"), *FAST]) == 0
    assert read_video(tmp_path / "o.mkv")[0] == read_video(clip)[0]


def test_default_name_lies_beside_the_input(make_clip):
    clip = make_clip("clip.mp4", num_frames=2)
    assert run(["enhance", str(clip), *FAST]) == 0
    assert clip.with_name("clip_x2.mp4").exists()


def test_avi_becomes_matroska(make_clip):
    clip = make_clip("tape.avi", num_frames=3, codec="mpeg4")
    assert run(["enhance", str(clip), *FAST]) == 0
    assert len(read_video(clip.with_name("tape_x2.mkv"))[0]) == 3


def test_trim_is_exact_to_the_frame(make_clip, tmp_path):
    clip = make_clip("in.mp4", num_frames=50, gop=20, b_frames=2)
    out = tmp_path / "o.mp4"
    assert run(["enhance", str(clip), "-o", str(out), "--start", "0.4", "--end", "1.2", *FAST]) == 0
    times, frames = read_video(out)
    assert [read_number(plane_view(frame, 0)) for frame in frames] == list(range(10, 30))
    assert times[0] == 0


@pytest.mark.parametrize(
    ("flags", "size"),
    [
        (["--scale", "3"], (144, 192)),
        (["--scale", "4"], (192, 256)),
        (["--scale", "1"], (48, 64)),
        (["--size", "100x80"], (80, 100)),
        (["--height", "72"], (72, 96)),
        (["--model", "bicubic", "--model", "bicubic-x2"], (192, 256)),
        (["--model", "bicubic-x2", "--model", "bicubic-x2"], (192, 256)),
        (["--model", "lanczos", "--scale", "2"], (96, 128)),
    ],
)
def test_sizes_and_chains(make_clip, tmp_path, flags, size):
    clip = make_clip("in.mp4", num_frames=3)
    assert run(["enhance", str(clip), "-o", str(tmp_path / "o.mp4"), *flags, *FAST]) == 0
    _, frames = read_video(tmp_path / "o.mp4")
    assert (frames[0].height, frames[0].width) == size
    assert [read_number(plane_view(frame, 0)) for frame in frames] == [0, 1, 2]


def test_ten_bits_stay_ten_bits(tmp_path, make_clip):
    clip = make_clip("in.mkv", num_frames=4, pixel_format="yuv420p10le", codec="libx265", size=(64, 96))
    out = tmp_path / "o.mkv"
    assert run(["enhance", str(clip), "-o", str(out), "--encoder", "ffv1", "--quiet"]) == 0
    _, frames = read_video(out)
    assert frames[0].format.name == "yuv420p10le"


@pytest.mark.parametrize("range_", ["limited", "full"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "yuv444p", "gray"])
def test_identity_in_fp32_is_bit_exact_through_a_lossless_encode(make_clip, tmp_path, pixel_format, range_):
    clip = make_clip(
        "in.mkv", num_frames=5, codec="ffv1", pixel_format=pixel_format, range=range_, size=(47, 63)
    )
    out = tmp_path / "out.mkv"
    lossless = ["--scale", "1", "--model", "identity", "--precision", "fp32", "--encoder", "ffv1"]
    assert run(["enhance", str(clip), "-o", str(out), *lossless, "--quiet"]) == 0
    before, after = read_video(clip)[1], read_video(out)[1]
    assert len(after) == 5
    for was, now in zip(before, after, strict=True):
        assert now.format.name == pixel_format
        assert now.color_range == was.color_range
        for index in range(len(was.planes)):
            assert np.array_equal(plane_view(was, index), plane_view(now, index))


def test_a_ten_bit_video_has_more_than_256_values(test_data, tmp_path):
    out = tmp_path / "out.mp4"
    assert (
        run(
            [
                "enhance",
                str(test_data / "clips" / "torchcodec_bt2020_10bit.mp4"),
                "-o",
                str(out),
                "--frames",
                "3",
                *FAST,
            ]
        )
        == 0
    )
    _, frames = read_video(out)
    assert len(np.unique(plane_view(frames[0], 0))) > 256


def test_config_lies_between_defaults_and_flags(make_clip, tmp_path):
    clip = make_clip("in.mp4", num_frames=3)
    config = tmp_path / "c.toml"
    config.write_text('scale = 3\nframes = 2\npreset = "ultrafast"\nquiet = true\n')
    out = tmp_path / "o.mp4"
    assert run(["enhance", str(clip), "-o", str(out), "--config", str(config), "--scale", "4"]) == 0
    _, frames = read_video(out)
    assert len(frames) == 2
    assert frames[0].height == 192


def test_documented_config_shows_every_key_with_its_default():
    written = tomllib.loads(Path("configs/enhance.toml").read_text())
    kinds = (
        ReadOptions,
        PictureOptions,
        ModelOptions,
        EngineOptions,
        EncodeOptions,
        AlsoOptions,
        JobOptions,
        RunOptions,
        FetchFlags,
    )
    defaults = {field.name: getattr(kind(), field.name) for kind in kinds for field in fields(kind)}
    alone = {"config", "debug"}  # flags that mean nothing inside a config
    assert {key: tuple(value) if isinstance(value, list) else value for key, value in written.items()} == {
        key: value for key, value in defaults.items() if key not in alone
    }


def test_documented_config_is_accepted(capsys):
    assert run(["enhance", "nothing.mp4", "--config", "configs/enhance.toml"]) == 1
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["enhance"], 2, "INPUTS"),
        (["enhance", "none.mp4"], 1, "does not exist"),
        (["enhance", "none.mp4", "--scale", "5"], 2, 'Choose from: "auto", 1, 2, 3, 4'),
        (["enhance", "none.mp4", "--quality", "101"], 2, "0 to 100"),
        (["enhance", "none.mp4", "--size", "12"], 2, "WIDTHxHEIGHT"),
        (["enhance", "none.mp4", "--start", "soon"], 2, "HH:MM:SS"),
        (["enhance", "none.mp4", "--start", "5", "--end", "4"], 2, "does not come after"),
        (["enhance", "none.mp4", "--device", "tpu"], 2, "cuda:N"),
        (["enhance", "none.mp4", "--config", "none.toml"], 2, "does not exist"),
        (["enhance", "none.mp4", "--sclae", "2"], 2, "Did you mean --scale"),
        (["enhnace", "none.mp4"], 2, "Did you mean"),
    ],
)
def test_bad_usage_gets_one_clear_line(words, code, said, capsys):
    assert run(words) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert said in lines[0]


@pytest.mark.parametrize("key", ["scal", "bench", "train"])
def test_unknown_key_in_a_config_is_an_error_a_command_s_name_too(tmp_path, capsys, key):
    (tmp_path / "c.toml").write_text(f"{key} = 2\n")
    assert run(["enhance", "x.mp4", "--config", str(tmp_path / "c.toml")]) == 2
    assert key in capsys.readouterr().err


def test_a_key_that_is_named_as_a_command_is_counts(tmp_path, capsys):
    (tmp_path / "c.toml").write_text("batch = 0\n")
    assert run(["enhance", "x.mp4", "--config", str(tmp_path / "c.toml")]) == 2
    assert "batch 0 is too small" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--model", "nosuch"], 1, "there are identity"),
        (["--model", "nosuch.pth"], 1, "does not exist"),
        (["--encoder", "nosuch"], 2, "x264"),
        (["--device", "cuda:9"], 2, "not on this machine"),
        (["-o", "out.xyz"], 2, ".mp4"),
        (["-o", "no/such/folder.mp4"], 1, "no/such"),
        (["--start", "99"], 1, "2"),
    ],
)
def test_options_that_do_not_fit_the_input(make_clip, tmp_path, monkeypatch, capsys, flags, code, said):
    monkeypatch.chdir(tmp_path)
    clip = make_clip("in.mp4", num_frames=3)
    assert run(["enhance", str(clip), *flags, *FAST]) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(lines) == 1
    assert said in lines[0]


def test_existing_output_is_not_replaced_without_a_word(make_clip, tmp_path, capsys):
    clip, out = make_clip("in.mp4", num_frames=2), tmp_path / "o.mp4"
    out.write_text("precious")
    assert run(["enhance", str(clip), "-o", str(out), *FAST]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_text() == "precious"
    assert run(["enhance", str(clip), "-o", str(out), "--overwrite", *FAST]) == 0
    assert len(read_video(out)[0]) == 2
    assert run(["enhance", str(clip), "-o", str(clip), "--overwrite", *FAST]) == 2


def test_folder_goes_on_past_failures_and_lists_them(make_clip, tmp_path, capsys):
    folder = tmp_path / "tapes"
    (folder / "sub").mkdir(parents=True)
    make_clip("a.mp4", num_frames=2).rename(folder / "a.mp4")
    make_clip("b.mp4", num_frames=3).rename(folder / "sub" / "b.mp4")
    cv2.imwrite(str(folder / "photo.png"), np.full((20, 30, 3), 90, np.uint8))
    (folder / "broken.mp4").write_bytes(b"not a video")
    (folder / "notes.txt").write_text("not for us")
    report = tmp_path / "report.json"
    code = run(
        [
            "enhance",
            str(folder),
            "-o",
            str(tmp_path / "out"),
            "--report",
            str(report),
            "--preset",
            "ultrafast",
        ]
    )
    assert code == 1
    said = capsys.readouterr().err
    assert "3 of 4 done; failed:" in said
    assert "broken.mp4" in said.split("failed:")[1]
    assert len(read_video(tmp_path / "out" / "sub" / "b.mp4")[0]) == 3
    assert cv2.imread(str(tmp_path / "out" / "photo.png")).shape == (40, 60, 3)
    statuses = {Path(item["input"]).name: item["status"] for item in json.loads(report.read_text())}
    assert statuses == {"a.mp4": "done", "b.mp4": "done", "photo.png": "done", "broken.mp4": "failed"}


def test_every_kind_that_works_singly_is_seen_in_a_folder_and_names_that_clash_fail_alone(tmp_path, capsys):
    folder, out, kinds = tmp_path / "tapes", tmp_path / "out", ("raw.264", "b.ivf", "c.obu", "d.wtv", "e.dpx")
    folder.mkdir()
    for name in (*kinds, "same.avi", "same.mkv"):
        codec = ["-c:v", "libsvtav1"] if name in ("b.ivf", "c.obu") else []
        num_frames = 1 if name == "e.dpx" else 3
        run_ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64", "-frames:v", num_frames, *codec, folder / name)
    picture = np.full((16, 24, 3), 90, np.uint8)
    for name in ("f.jfif", "g.bmp"):
        (folder / name).write_bytes(
            cv2.imencode(".jpg" if name == "f.jfif" else ".bmp", picture)[1].tobytes()
        )
    assert run(["enhance", str(folder), "-o", str(out), "--model", "bicubic", "--preset", "ultrafast"]) == 1
    said = capsys.readouterr().err
    assert "7 of 9 done; failed:" in said
    assert said.split("failed:")[1].count("would both become") == 2
    assert {path.stem for path in out.iterdir()} == {*"bcdefg", "raw"}


def test_dry_run_tells_the_plan_and_writes_nothing(make_clip, capsys):
    clip = make_clip("in.mp4", num_frames=5)
    before = sorted(clip.parent.iterdir())
    assert run(["enhance", str(clip), "--dry-run"]) == 0
    plan = capsys.readouterr().out
    for word in ("input", "output", "fast-x2", "libx264", "estimate about", "128x96"):
        assert word in plan
    assert sorted(clip.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("flags", "size", "said"),
    [
        (["--deblur"], (96, 128), ["deblur-x1 + tiny-x2"]),
        (["--deblur", "--scale", "1"], (48, 64), ["64x48, deblur-x1 on cpu"]),
        (["--progressive", "--scale", "4"], (192, 256), ["tiny-x2 + tiny-x2"]),
        (["--denoise", "0.5"], (96, 128), ["tiny-x2 with 0.5 of tiny-real-x2"]),
        (["--source", "real", "--self-ensemble"], (96, 128), ["tiny-real-x2 (self-ensemble)"]),
        (
            [],
            (96, 128),
            ["tiny-x2", "in.mp4: noise", "H.264 at", ": tiny-x2 (say --source real to decide otherwise)"],
        ),
    ],
)
def test_every_wish_is_said_before_and_done(shelf, make_clip, tmp_path, capsys, flags, size, said):
    clip, out = make_clip("in.mp4", num_frames=3), tmp_path / "o.mp4"
    assert run(["enhance", str(clip), *flags, "--dry-run"]) == 0
    plan = " ".join(capsys.readouterr().out.split())
    assert run(["enhance", str(clip), "-o", str(out), *flags, "--preset", "ultrafast"]) == 0
    announced = " ".join(capsys.readouterr().err.split())
    assert all(word in announced for word in said)
    assert all(name in plan for name in said[0].rpartition("48, ")[2].removesuffix(" on cpu").split(" + "))
    _, frames = read_video(out)
    assert (frames[0].height, frames[0].width) == size
    assert len(frames) == 3


@pytest.mark.parametrize(("crf", "chosen"), [("18", "tiny-x2"), ("36", "tiny-real-x2")])
def test_a_clip_that_is_compressed_hard_gets_the_network_for_it(
    shelf, test_data, tmp_path, capsys, crf, chosen
):
    clip, source = tmp_path / "clip.mkv", test_data / "clips" / "sam2_bedroom.mp4"
    run_ffmpeg(
        "-i", source, "-frames:v", "40", "-an", "-vf", "scale=320:-2", "-c:v", "libx264", "-crf", crf, clip
    )
    assert (
        run(["enhance", str(clip), "-o", str(tmp_path / "o.mkv"), "--frames", "3", "--preset", "ultrafast"])
        == 0
    )
    said = " ".join(capsys.readouterr().err.split())
    other = "real" if crf == "18" else "clean"
    assert f"640x360, {chosen} on cpu" in said
    assert f": {chosen} (say --source {other} to decide otherwise)" in said


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--denoise", "2"], "0 to 1"),
        (["--denoise", "0.5", "--scale", "4"], "tiny-x2 has one"),
        (["--source", "real", "--model", "bicubic"], "tiny-x2 has one"),
        (["--window", "3"], "no choice of windows"),
        (["--source", "dirty"], "Choose from"),
    ],
)
def test_a_wish_that_no_model_has_is_one_clear_line(shelf, make_clip, capsys, flags, said):
    assert run(["enhance", str(make_clip("in.mp4", num_frames=2)), *flags]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert said in lines[0]


def test_interrupt_leaves_no_file_and_no_child(make_clip, tmp_path):
    clip = make_clip("in.mp4", num_frames=400, size=(96, 128))
    out = tmp_path / "out"
    out.mkdir()
    process = begin_command("enhance", clip, "-o", out, log=tmp_path / "said")
    deadline = time.monotonic() + 60
    while not any(out.iterdir()) and time.monotonic() < deadline and process.is_alive():
        time.sleep(0.02)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)
    process.join(20)
    assert process.exitcode == 130
    assert "Traceback" not in (tmp_path / "said").read_text()
    assert list(out.iterdir()) == []
    assert not at_work_on(out)


def test_full_disk_is_said_and_leaves_nothing(make_clip, tmp_path, capfd):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    try:
        clip = make_clip("in.mp4", num_frames=30, size=(120, 160))
        assert run(["enhance", str(clip), "-o", str(small / "o.mkv"), "--encoder", "ffv1", "--quiet"]) == 1
        assert "space" in capfd.readouterr().err.lower()
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=False)


def test_photo_keeps_alpha_and_depth(tmp_path):
    photo = np.random.default_rng(0).integers(0, 65536, (24, 31, 4), np.uint16)
    cv2.imwrite(str(tmp_path / "p.png"), photo)
    assert run(["enhance", str(tmp_path / "p.png"), "--quiet"]) == 0
    large = cv2.imread(str(tmp_path / "p_x2.png"), cv2.IMREAD_UNCHANGED)
    assert large.shape == (48, 62, 4)
    assert large.dtype == np.uint16
    assert len(np.unique(large)) > 256


def test_probe_prints_json(make_clip, capsys):
    clip = make_clip("in.mp4", num_frames=3, audio=True)
    assert run(["probe", str(clip), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["format"]["width"] == 64
    assert any(other["kind"] == "audio" for other in found["others"])
    assert run(["probe", str(clip)]) == 0
    assert "64x48" in capsys.readouterr().out


def test_compare_scores_and_draws(make_clip, tmp_path, capsys):
    clip = make_clip("in.mp4", num_frames=3)
    same = tmp_path / "same.mkv"
    assert run(["enhance", str(clip), "-o", str(same), "--scale", "1", "--encoder", "ffv1", "--quiet"]) == 0
    assert (
        run(["compare", str(clip), str(same), "-o", str(tmp_path / "c.png"), "--style", "wipe", "--quiet"])
        == 0
    )
    assert cv2.imread(str(tmp_path / "c.png")).shape == (48, 64, 3)
    assert run(["compare", str(clip), str(same), "-o", str(tmp_path / "c.mp4")]) == 0
    assert "PSNR inf" in capsys.readouterr().out
    assert len(read_video(tmp_path / "c.mp4")[0]) == 3


def test_doctor_tries_the_encoders(capsys):
    assert run(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "x264" in said
    assert "works" in said
    assert "cpu" in said


def _clips() -> list[Any]:
    """Every clip of the data by name, the large ones slow."""
    folder = Path(os.environ.get("VSR_TEST_DATA", "../shared/data")) / "clips"
    if not folder.is_dir():
        return ["no clips here"]
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    return [pytest.param(name, marks=pytest.mark.slow if sizes[name] > 5e5 else ()) for name in sizes]


def _unavoidable_shift(clip: Path, out: Path) -> Fraction:
    """What all streams must move by where the first lies before 0 and the container has no negative times."""
    if out.suffix not in (".mkv", ".webm"):
        return Fraction(0)
    with av.open(str(clip)) as container:
        starts = [
            stream.start_time * stream.time_base
            for stream in container.streams
            if stream.start_time is not None
        ]
    return max(Fraction(0), -min(starts))


def _tags(frame: av.VideoFrame) -> dict[str, int]:
    """Depth, chroma and colour; what the source leaves open is tagged by the usual rule."""
    known = frame.colorspace != 2
    usual = 6 if frame.height < 720 else 1
    return {
        "bits": frame.format.components[0].bits,
        "chroma": frame.format.chroma_width(64) * 64 + frame.format.chroma_height(64),
        "range": 2 if frame.color_range == 2 or frame.format.name.startswith("yuvj") else 1,
        "matrix": frame.colorspace if known else usual,
        "primaries": frame.color_primaries if frame.color_primaries != 2 else usual,
        "transfer": frame.color_trc if frame.color_trc != 2 else usual,
    }


@pytest.mark.parametrize("name", _clips())
def test_real_clip_keeps_frames_times_sound_and_colour(test_data, tmp_path, name):
    clip = test_data / "clips" / name
    fast = ["--preset", "12"] if clip.suffix == ".webm" else ["--encoder", "x264", "--preset", "ultrafast"]
    code = run(["enhance", str(clip), "-o", f"{tmp_path}/", "--scale", "1", "--quiet", *fast])
    out = next(iter(tmp_path.iterdir()))
    assert code == 0
    before, theirs = read_video(clip)
    after, ours = read_video(out)
    with av.open(str(out)) as container:
        half_a_tick = best_stream(container, str(out)).time_base / 2
    assert len(after) == len(before)
    shift = _unavoidable_shift(clip, out)
    assert all(abs(a - b - shift) <= half_a_tick for a, b in zip(after, before, strict=True))
    assert _tags(ours[0]) == _tags(theirs[0])
    packets_before, packets_after = audio_packets(clip), audio_packets(out)
    for (_, was), (_, now) in zip(packets_before, packets_after, strict=True):
        assert [data for _, data in was] == [data for _, data in now]
        assert all(abs(a - b - shift) <= Fraction(1, 1000) for (a, _), (b, _) in zip(now, was, strict=True))
