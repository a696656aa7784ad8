"""The committed samples are what their README says."""

import importlib.util
import sys
from pathlib import Path

import av
import cv2
import pytest

SAMPLES = Path(__file__).resolve().parents[1] / "samples"


def test_the_clip_has_everything_that_a_real_file_has():
    path = SAMPLES / "street.mp4"
    assert path.stat().st_size < 400_000
    with av.open(str(path)) as file:
        video, audio, words = file.streams.video[0], file.streams.audio[0], file.streams.subtitles[0]
        assert (video.codec_context.name, video.codec_context.width, video.codec_context.height) == (
            "h264",
            426,
            240,
        )
        assert (audio.codec_context.name, words.codec_context.name) == ("aac", "mov_text")
        assert words.metadata["language"] == "eng"
        assert [chapter["metadata"]["title"] for chapter in file.chapters()] == ["The bookshop", "The car"]
        times = [frame.pts * frame.time_base for frame in file.decode(video)]
        assert [float(time) for time in times] == pytest.approx([number / 25 for number in range(100)])


def test_the_picture_is_small_and_rgb():
    assert cv2.imread(str(SAMPLES / "astronaut.png"), cv2.IMREAD_UNCHANGED).shape == (256, 256, 3)


@pytest.fixture
def many_workers(monkeypatch):
    spec = importlib.util.spec_from_file_location("many_workers", SAMPLES / "many_workers.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "many_workers", module)
    spec.loader.exec_module(module)
    return module


def test_segments_go_to_the_worker_that_is_free_first(many_workers):
    costs = many_workers.Costs(frame_s=1, segment_s=2, start_s=0, read_s=0, join_s=0)
    assert many_workers.duration([8, 3, 3, 3], 1, costs) == 17 + 4 * 2
    assert many_workers.duration([8, 3, 3, 3], 2, costs) == 5 + 5 + 5
    assert many_workers.duration([8, 3, 3, 3], 9, costs) == 10


def test_no_number_of_workers_is_faster_than_reading_and_joining(many_workers):
    costs = many_workers.Costs(frame_s=0.02, segment_s=0.1, start_s=1, read_s=0.001, join_s=0.002)
    segments = many_workers.lengths(1010, 100)
    assert segments == [100] * 10 + [10]
    times = [many_workers.duration(segments, workers, costs) for workers in (1, 2, 4, 8, 64)]
    assert times == sorted(times, reverse=True)
    assert times[0] == pytest.approx(1 + 11 * 0.1 + 1010 * 0.022)
    assert 1010 * 0.003 < times[-1] < 1 + 1010 * 0.003 + 0.1 + 100 * 0.02


def test_the_steps_for_a_first_gpu_run_on_a_cpu(monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("first_gpu", SAMPLES / "first_gpu.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "first_gpu", module)
    spec.loader.exec_module(module)
    steps = set(module.STEPS) - {
        "tests",
        "order",
        "eager",
    }  # which are processes of their own, and need the GPU
    for step in sorted(steps):
        module.main([step, "--device", "cpu", "--quick", "--model", "nano-x2"])
    said = capsys.readouterr().out
    assert said.count("nano-x2") == 1 + 1 + 3 + 1
    assert "software: " in said
    assert all((SAMPLES.parent / path).is_file() for path in module.GPU_TESTS)
