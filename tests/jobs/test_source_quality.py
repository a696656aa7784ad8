"""Clean or real, from what a file says."""

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
from support.clips import run_ffmpeg

from vsr.frames import PictureFormat, StreamInfo
from vsr.jobs.source_quality import bits_per_pixel, judge_source
from vsr.media.images.jpeg_quality import jpeg_quality
from vsr.media.images.probe_image import probe_image
from vsr.media.probe_video import probe

CLIP = StreamInfo(
    path="clip.mp4",
    kind="video",
    container="mov,mp4,m4a,3gp,3g2,mj2",
    codec="h264",
    pixel_format="yuv420p",
    format=PictureFormat(360, 640),
    average_rate=Fraction(25),
    bit_rate=round(640 * 360 * 25 * 0.03),
)


def photo(seed: int = 0, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """Smooth shapes with some grain, as a camera sees them."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.random((6, 8, 3)), size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(255 * (coarse + 0.03 * rng.standard_normal((*size, 3))), 0, 255).astype(np.uint8)


def test_few_bits_per_pixel_are_real_and_said_so():
    verdict = judge_source(CLIP)
    assert verdict.is_real
    assert verdict.why == "clip.mp4: H.264 at 0.03 bits per pixel"
    assert not judge_source(replace(CLIP, bit_rate=CLIP.bit_rate * 3)).is_real


def test_large_frames_need_fewer_bits_a_pixel():
    large = replace(CLIP, format=PictureFormat(2160, 3840), bit_rate=round(3840 * 2160 * 25 * 0.03))
    assert bits_per_pixel(large) == pytest.approx(bits_per_pixel(CLIP), rel=1e-3)
    assert not judge_source(large).is_real


def test_older_codecs_need_more_bits():
    rate = round(640 * 360 * 25 * 0.08)
    real = {
        codec: judge_source(replace(CLIP, codec=codec, bit_rate=rate)).is_real
        for codec in ("h264", "hevc", "av1", "vp9")
    }
    assert not any(real.values())
    assert judge_source(replace(CLIP, codec="mpeg4", bit_rate=rate)).is_real
    assert judge_source(replace(CLIP, codec="mpeg2video", bit_rate=rate)).is_real


@pytest.mark.parametrize("codec", ["ffv1", "rawvideo", "prores", "dnxhd"])
def test_codecs_that_show_no_loss_are_clean_at_any_rate(codec):
    assert not judge_source(replace(CLIP, codec=codec, bit_rate=1000)).is_real


def test_a_file_that_does_not_tell_enough_is_clean():
    verdict = judge_source(replace(CLIP, average_rate=None))
    assert (verdict.is_real, verdict.why) == (False, "clip.mp4: H.264 at an unknown bit rate")


def test_without_a_rate_of_its_own_the_files_size_counts(tmp_path):
    path = tmp_path / "clip.mkv"
    path.write_bytes(bytes(64_000))
    info = replace(CLIP, path=str(path), bit_rate=None, duration_s=2.0)
    assert bits_per_pixel(info) == pytest.approx(64_000 * 8 / 2 / 25 / (640 * 360))
    assert bits_per_pixel(replace(info, duration_s=None)) is None


@pytest.mark.parametrize(
    ("arguments", "real"),
    [
        (["libx264", "-crf", "18"], False),
        (["libx264", "-crf", "36"], True),
        (["mpeg4", "-q:v", "2"], False),
        (["mpeg4", "-q:v", "20"], True),
    ],
)
def test_real_encodes_are_told_apart(test_data, tmp_path, arguments, real):
    source, out = test_data / "clips" / "sam2_bedroom.mp4", tmp_path / "clip.mkv"
    run_ffmpeg(
        "-i", source, "-frames:v", "12", "-an", "-vf", "scale=480:-2:flags=area", "-c:v", *arguments, out
    )
    assert judge_source(probe(out)).is_real == real


@pytest.mark.parametrize("quality", [25, 30, 50, 75, 84, 85, 92, 100])
def test_the_quality_of_a_jpeg_is_read_from_its_tables(tmp_path, quality):
    path = tmp_path / "p.jpg"
    cv2.imwrite(str(path), photo(), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert abs(jpeg_quality(path.read_bytes()) - quality) <= 1
    verdict = judge_source(probe_image(path))
    assert verdict.is_real == (quality < 84.5)
    assert verdict.why.startswith("p.jpg: JPEG of quality ")


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xdb\x00\x43\x00", b"\xff\xd8\xff\xdb\x00\x00" * 3]
)
def test_a_jpeg_without_a_table_has_no_quality_to_complain_of(data):
    assert 1 <= jpeg_quality(data) <= 100


def test_pictures_without_loss_are_clean_and_a_small_webp_is_not(tmp_path):
    for name in ("p.png", "p.tiff"):
        cv2.imwrite(str(tmp_path / name), photo())
        assert not judge_source(probe_image(tmp_path / name)).is_real
    cv2.imwrite(str(tmp_path / "p.webp"), photo(), [cv2.IMWRITE_WEBP_QUALITY, 20])
    assert judge_source(probe_image(tmp_path / "p.webp")).is_real
    assert judge_source(probe_image(tmp_path / "p.webp")).why.endswith("bits per pixel")
