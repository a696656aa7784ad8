"""The committed samples are what their README says."""

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
        assert (video.codec_context.name, video.codec_context.width, video.codec_context.height) == ("h264", 426, 240)
        assert (audio.codec_context.name, words.codec_context.name) == ("aac", "mov_text")
        assert words.metadata["language"] == "eng"
        assert [chapter["metadata"]["title"] for chapter in file.chapters()] == ["The bookshop", "The car"]
        times = [frame.pts * frame.time_base for frame in file.decode(video)]
        assert [float(time) for time in times] == pytest.approx([number / 25 for number in range(100)])


def test_the_picture_is_small_and_rgb():
    assert cv2.imread(str(SAMPLES / "astronaut.png"), cv2.IMREAD_UNCHANGED).shape == (256, 256, 3)
