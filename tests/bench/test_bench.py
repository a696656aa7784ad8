"""`vsr bench`: what it measures adds up. Nothing here asserts how fast anything is."""

import json
import runpy
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.marks import needs_bf16

from vsr.bench import hardware_peak
from vsr.bench.bench_options import BenchOptions
from vsr.bench.clip import make_clip, ready_frames
from vsr.bench.cost import Cost, measure_cost, spent, steady
from vsr.bench.hardware_peak import hidden_width, measure_peak
from vsr.bench.other_program import OtherProgram
from vsr.bench.stages import Parts, to_and_fro
from vsr.cli.main import run
from vsr.engine.device import Placement
from vsr.engine.engine import Engine
from vsr.errors import ConfigError, VsrError
from vsr.media.ffmpeg import find_ffmpeg
from vsr.media.probe_video import probe
from vsr.media.reading.source import VideoSource
from vsr.models import load
from vsr.models.networks.compact import CompactNet
from vsr.models.variants.int8 import has_int8
from vsr.options import EngineOptions

ROOT = Path(__file__).resolve().parents[2]
TINY = ["--model", "nano-x2", "--size", "48x32", "--frames", "12", "--repeat", "1", "--device", "cpu"]
COPY = f"{shlex.quote(find_ffmpeg())} -hide_banner -y -i {{input}} -vf scale=2*iw:-1 {{output}}"


@pytest.fixture(scope="module", autouse=True)
def _short_rounds():
    """Whether the peak is measured well is nothing that tests know; it need not take long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hardware_peak, "_ENOUGH_S", 0.02)
        yield


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the command itself writes, with everything asked for."""
    path = tmp_path_factory.mktemp("bench") / "bench.json"
    assert run(["bench", *TINY, "--threads", "2", "--json", str(path), "--against", COPY]) == 0
    return json.loads(path.read_text())


def test_every_stage_is_measured_alone(report: dict):
    (row,) = report["rows"]
    assert list(row["stages"]) == ["decode", "convert in", "model", "convert out", "encode"]
    for cost in [*row["stages"].values(), row["end_to_end"], row["against"]]:
        assert cost["ms_per_frame"] > 0
        assert cost["fps"] == pytest.approx(1000 / cost["ms_per_frame"])
    assert (row["input_width"], row["input_height"], row["output_width"], row["output_height"]) == (
        48,
        32,
        96,
        64,
    )


def test_the_figures_of_a_row_agree_with_each_other(report: dict):
    (row,) = report["rows"]
    total = sum(cost["core_ms_per_frame"] for cost in row["stages"].values())
    assert row["core_ms_per_frame"] == pytest.approx(total)
    assert row["bound_fps"] == pytest.approx(row["cores"] / total * 1000)
    assert row["cores_bound_fps"] == row["bound_fps"]
    busy = sum(stage["busy"] for stage in row["stages"].values())
    assert busy == pytest.approx(
        row["overlap_efficiency"]
    )  # all the work there is, over all the cores could do
    assert row["overlap_efficiency"] == pytest.approx(row["end_to_end"]["fps"] / row["bound_fps"])
    assert row["gflop_per_frame"] == pytest.approx(load("nano-x2").spec.kflop_per_pixel * 48 * 32 / 1e6)
    assert row["model_gflop_per_s"] == pytest.approx(row["gflop_per_frame"] * row["stages"]["model"]["fps"])
    assert row["share_of_conv"] == pytest.approx(row["model_gflop_per_s"] / row["conv_gflop_per_s"])
    assert row["conv_channels"] == 8
    assert row["against"]["ratio"] == pytest.approx(row["end_to_end"]["fps"] / row["against"]["fps"])
    assert row["peak_memory_bytes"] > 50e6


def test_tables_show_a_row_for_each_model_and_size(capfd: pytest.CaptureFixture[str]):
    few = ["--frames", "6", "--repeat", "1", "--device", "cpu", "--precision", "fp32", "--encoder", "null"]
    sizes = ["--size", "48x32", "--size", "64x32"]
    assert run(["bench", "--model", "nano-x2", "--model", "bicubic-x2", *sizes, *few]) == 0
    shown = capfd.readouterr().out
    for title in (
        "nano-x2 in fp32 on cpu, 48x32 → 96x64, null",
        "bicubic-x2 in fp32 on cpu, 64x32 → 128x64, null",
    ):
        assert title in shown
    assert shown.count("end to end") == 4
    assert "3×3 convolution" in shown
    assert not any(line.startswith("encode") for line in shown.splitlines())


def test_json_goes_to_standard_output_where_asked(capfd: pytest.CaptureFixture[str], make_clip):
    clip = make_clip("a.mkv", num_frames=5, size=(32, 48))
    assert (
        run(["bench", str(clip), "--model", "identity", "--frames", "8", "--repeat", "1", "--json", "-"]) == 0
    )
    (row,) = json.loads(capfd.readouterr().out)["rows"]
    assert row["num_frames"] == 8  # five, repeated
    assert row["output_width"] == 48
    assert row["conv_gflop_per_s"] is None


@pytest.mark.skipif(not has_int8(), reason="this processor has no VNNI")
def test_a_network_of_others_runs_in_int8_by_ranges_of_the_clip(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
):
    """As `vsr enhance` runs it."""
    torch.manual_seed(3)
    torch.save(CompactNet(channels=16, depth=3, scale=2).state_dict(), tmp_path / "theirs.pth")
    wanted = ["bench", *TINY[2:], "--model", str(tmp_path / "theirs.pth"), "--precision", "int8"]
    assert run(wanted) == 0
    out = capfd.readouterr().out
    assert "theirs in int8 on cpu" in out
    assert "int8 by ranges of this source" in out


def test_frames_that_repeat_are_told(capfd: pytest.CaptureFixture[str], tmp_path: Path):
    still = tmp_path / "still.mkv"
    picture = ["-f", "lavfi", "-i", "color=gray:s=48x32:r=25", "-frames:v", "12", "-c:v", "ffv1", str(still)]
    subprocess.run([find_ffmpeg(), "-hide_banner", "-loglevel", "error", *picture], check=True)
    assert (
        run(
            [
                "bench",
                str(still),
                "--model",
                "nano-x2",
                "--frames",
                "12",
                "--repeat",
                "1",
                "--encoder",
                "null",
            ]
        )
        == 0
    )
    assert "note: 11 of 12 frames repeat" in capfd.readouterr().out


def test_stages_alone_enhance_whole_pictures_whatever_is_skipped(capfd: pytest.CaptureFixture[str]):
    assert run(["bench", *TINY, "--encoder", "null", "--skip-static", "on"]) == 0
    assert "note: skip-static" in capfd.readouterr().out


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
def test_on_a_gpu_the_way_there_and_back_is_measured_too(tmp_path: Path):
    path = tmp_path / "bench.json"
    words = ["bench", "--device", "cuda", "--model", "fast-x2", "--model", "video-x4", "--size", "128x96"]
    assert run([*words, "--frames", "40", "--repeat", "1", "--json", str(path)]) == 0
    for row in json.loads(path.read_text())["rows"]:
        assert list(row["stages"]) == [
            "decode",
            "upload",
            "convert in",
            "model",
            "convert out",
            "download",
            "encode",
        ]
        assert row["bound_fps"] == pytest.approx(1000 / row["slowest_stage_ms"])
        assert row["peak_gpu_bytes"] > 0


@pytest.mark.parametrize("ending", ["png", "json"])
def test_a_timeline_is_written(ending: str, tmp_path: Path):
    path = tmp_path / f"trace.{ending}"
    assert run(["bench", *TINY, "--encoder", "null", "--trace", str(path)]) == 0
    if ending == "png":
        assert cv2.imread(str(path)).shape[1] == 1600
    else:
        names = {event["name"] for event in json.loads(path.read_text())["traceEvents"]}
        assert {"decode", "convert in", "model", "convert out", "encode"} <= names


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run(["bench", *TINY, "--encoder", "null"]) == 0
    assert run(["bench", *TINY, "--against", "false {input} {output}"]) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--model", "unheard-of"], 1, "unheard-of"),
        (["nothing.mp4"], 1, "nothing.mp4"),
        (["--size", "16x16"], 2, "size 16x16"),
        (["--size", "65x48"], 2, "size 65x48"),
        (["--size", "large"], 2, "WIDTHxHEIGHT"),
        (["--frames", "2"], 2, "frames 2"),
        (["--encoder", "unheard-of", "--size", "48x32"], 2, "unheard-of"),
        (["--against", "cp {input}"], 2, "{output} is missing"),
        (["--against", "cp '{input} {output}"], 2, "cannot be split"),
        (["--trace", "out.gif"], 2, ".png and .json"),
        (["--trace", "a.png", "--size", "48x32", "--size", "64x32"], 2, "one model at one size"),
        (["--json", "no/such/folder.json"], 2, "folder"),
    ],
)
def test_bad_input_is_explained_in_one_line(
    words: list[str], code: int, says: str, capfd: pytest.CaptureFixture[str]
):
    assert run(["bench", "--device", "cpu", *words]) == code
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert says in line


def test_a_picture_is_no_clip(capfd: pytest.CaptureFixture[str], tmp_path: Path):
    (tmp_path / "a.txt").write_text("no video")
    assert run(["bench", str(tmp_path / "a.txt")]) == 1
    assert "a.txt" in capfd.readouterr().err


def test_the_clip_that_is_made_moves_and_has_noise(tmp_path: Path):
    clip = make_clip(tmp_path, None, (120, 160), few=3, many=9)
    frames = [frame.planes[0].astype(float) for frame in VideoSource(clip.long).frames()]
    assert (clip.few, clip.many, len(frames)) == (3, 9, 9)
    assert np.std(frames[0]) > 15
    changes = [np.abs(a - b).mean() for a, b in pairwise(frames)]
    assert min(changes) > 1
    assert max(changes) < 40  # it goes on, it does not jump


def test_a_clip_without_a_size_keeps_its_codec(tmp_path: Path, make_clip_of_user):
    given = make_clip_of_user("a.mp4", num_frames=12, size=(32, 48), codec="mpeg4", pixel_format="yuv420p")
    clip = make_clip(tmp_path, given, None, few=2, many=7)
    assert probe(clip.long).codec == "mpeg4"
    assert (clip.few, clip.many) == (2, 7)
    scaled = make_clip(tmp_path, given, (64, 64), few=2, many=30)
    assert (probe(scaled.long).format.height, scaled.many) == (64, 30)


@pytest.fixture
def make_clip_of_user(request: pytest.FixtureRequest):
    return request.getfixturevalue("make_clip")


def test_ready_frames_stay_within_their_budget(tmp_path: Path):
    clip = make_clip(tmp_path, None, (32, 48), few=2, many=12)
    enlarged = 32 * 48 * 3 // 2 * 4
    assert len(ready_frames(clip, 10, 1 << 30, 2)) == 10
    assert len(ready_frames(clip, 10, 6 * enlarged, 2)) == 6
    assert len(ready_frames(clip, 10, enlarged, 2)) == 4


def test_what_happens_once_per_stream_does_not_count():
    """0.2 s at the beginning of every stream, then a millisecond a frame."""
    assert steady(Cost(0.21, 0.42), Cost(0.25, 0.46), 10, 50) == Cost(
        pytest.approx(0.001), pytest.approx(0.001)
    )
    assert steady(Cost(0.3, 0.3), Cost(0.2, 0.2), 10, 50) == Cost(pytest.approx(0.004), pytest.approx(0.004))


def test_work_is_warmed_up_and_then_repeated():
    counts: list[int] = []
    measure_cost(counts.append, few=2, many=7, repeat=2)
    assert counts == [2, 2, 7, 2, 7]


def test_the_cores_work_of_children_counts():
    busy = "import time\nwhile time.process_time() < 0.2: pass"
    cost = spent(lambda _: subprocess.run([sys.executable, "-c", busy], check=True), 1)
    assert cost.core_s >= 0.19


def test_to_and_fro_never_jumps():
    assert list(to_and_fro("abc", 9)) == list("abcbabcba")
    assert list(to_and_fro("a", 3)) == list("aaa")


@pytest.mark.parametrize("name", ["nano-x2", "base-real-x2", "video-x4", "bicubic-x3"])
@pytest.mark.parametrize("threads", [1, 2])
def test_parts_together_do_what_the_engine_does(name: str, threads: int, tmp_path: Path):
    """The planes that the last part leaves are those that the engine gives for the same frames."""
    clip = make_clip(tmp_path, None, (32, 48), few=2, many=5)
    frames = list(VideoSource(clip.long).frames())
    options = EngineOptions(device="cpu", precision="fp32", threads=threads)
    parts, model = Parts(load(name), options, frames), load(name)
    wanted = list(Engine([model], options).run(frames))
    assert len(parts._out) == len(wanted)
    for planes, frame in zip(parts._out, wanted, strict=True):
        assert all(
            np.array_equal(ours.numpy(), theirs) for ours, theirs in zip(planes, frame.planes, strict=True)
        )
    assert list(parts.each()) == ["convert in", "model", "convert out"]
    before = torch.get_num_threads()
    for part in parts.each().values():
        part(7)
    assert torch.get_num_threads() == before


def test_the_yardstick_is_as_wide_as_the_network():
    assert hidden_width(load("fast-x2").network) == 16
    assert hidden_width(CompactNet(channels=12, depth=2, scale=4)) == 12
    assert hidden_width(load("bicubic-x2").network) is None


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=needs_bf16), "int8"])
def test_the_peak_is_measured_in_the_networks_precision(precision: str):
    if precision == "int8" and not has_int8():
        pytest.skip("no VNNI here")
    place = Placement(torch.device("cpu"), precision, "")
    peak = measure_peak(load("nano-x2").network, place, (32, 48), workers=2)
    assert peak.conv_channels == 8
    assert peak.conv_gflop_per_s is not None
    assert min(peak.matmul_gflop_per_s, peak.conv_gflop_per_s) > 0


def test_a_peer_is_given_files_and_size_and_no_shell(tmp_path: Path):
    output = tmp_path / "the output.txt"
    code = "import sys; open(sys.argv[1], 'w').write(repr(sys.argv[2:]))"
    peer = OtherProgram(
        f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} {{output}} in={{input}} {{size}} '$HOME; echo'"
    )
    peer.run(Path("a clip.mp4"), output, (360, 640))
    assert output.read_text() == repr(["in=a clip.mp4", "640x360", "$HOME; echo"])


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import sys; print('first\\nsecond', file=sys.stderr); sys.exit(7)", "exit code 7: first . second"),
        ("pass", "wrote no"),
    ],
)
def test_a_peer_that_fails_is_explained(code: str, says: str, tmp_path: Path):
    peer = OtherProgram(f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} {{input}} {{output}}")
    with pytest.raises(VsrError, match=says):
        peer.run(tmp_path / "a.mp4", tmp_path / "b.mp4", (2, 2))


def test_a_peer_that_is_not_there_is_explained(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be started"):
        OtherProgram("/no/such/program {input} {output}").run(tmp_path / "a", tmp_path / "b", (2, 2))


def test_presets_are_the_encoders_own():
    assert BenchOptions().encode.preset == "veryfast"
    assert BenchOptions(preset="ultrafast").encode.preset == "ultrafast"
    assert BenchOptions(encoder="vp9").encode.preset == ""
    assert BenchOptions(encoder="null").encode is None


def test_the_plain_loop_gives_the_pictures_that_we_give(
    test_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    weights = test_data / "weights" / "realesrgan" / "realesr-animevideov3.pth"
    clip = make_clip(tmp_path, None, (32, 48), few=2, many=3)
    output = tmp_path / "out.mp4"
    script = str(ROOT / "samples" / "plain_loop.py")
    monkeypatch.setattr(sys, "argv", [script, str(clip.long), str(output), str(weights)])
    runpy.run_path(script, run_name="__main__")
    theirs = list(VideoSource(output).frames())
    options = EngineOptions(device="cpu", precision="fp32")
    ours = list(Engine([load(str(weights))], options).run(VideoSource(clip.long).frames()))
    assert len(theirs) == len(ours) == 3
    for a, b in zip(theirs, ours, strict=True):
        error = np.abs(a.planes[0].astype(float) - b.planes[0].astype(float)).mean()
        assert error < 6  # x264 lies between them
