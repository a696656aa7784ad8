"""Clean or real, from what a file says and its pictures show."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.clips import run_ffmpeg

from vsr.jobs.source_quality import judge_source
from vsr.media.images.probe_image import probe_image
from vsr.media.jpeg_tables import jpeg_quality
from vsr.media.probe_video import probe
from vsr.options import ReadOptions


def photo(seed: int = 0, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """Smooth shapes with hardly any grain, as a good camera sees them."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.random((6, 8, 3)), size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(255 * (coarse + 0.005 * rng.standard_normal((*size, 3))), 0, 255).astype(np.uint8)


def write_scene(path: Path, codec: str, *arguments: str, sigma: float = 0.0) -> Path:
    """Nine pictures of a still scene, its noise new in each."""
    rng, scene = np.random.default_rng(3), cv2.GaussianBlur(photo(size=(160, 192)), (0, 0), 1.0).astype(float)
    for number in range(9):
        noisy = np.clip(np.rint(scene + sigma * rng.standard_normal(scene.shape)), 0, 255)
        cv2.imwrite(str(path.with_name(f"{path.stem}{number}.png")), noisy.astype(np.uint8))
    run_ffmpeg(
        "-i", path.with_name(f"{path.stem}%d.png"), "-pix_fmt", "yuv420p", "-c:v", codec, *arguments, path
    )
    return path


@pytest.mark.parametrize(
    ("codec", "arguments", "sigma", "real", "said"),
    [
        ("libx264", ["-crf", "16"], 0, False, "H.264 at quantiser"),
        ("libx264", ["-crf", "36"], 0, True, "H.264 at quantiser"),
        ("ffv1", [], 0, False, "FFV1"),
        ("ffv1", [], 16, True, "FFV1"),
        ("mpeg4", ["-q:v", "2"], 0, False, "MPEG-4 at quantiser 2 (compression 0.083)"),
        ("mpeg4", ["-q:v", "12"], 0, True, "MPEG-4 at quantiser 12 (compression 0.5)"),
    ],
)
def test_noise_and_quantisers_decide_and_are_said(tmp_path, codec, arguments, sigma, real, said):
    path = write_scene(tmp_path / "clip.mkv", codec, *arguments, sigma=sigma)
    verdict = judge_source(probe(path))
    assert verdict.is_real == real
    assert re.match(r"clip\.mkv: noise \d", verdict.why)
    assert said in verdict.why
    if codec == "ffv1":  # R, G and B have noise of their own: luma has 0.67 of it
        assert verdict.damage.noise == pytest.approx(0.67 * sigma, abs=1.2)


def test_only_what_will_be_read_is_looked_at(tmp_path):
    good, bad = write_scene(tmp_path / "a.mkv", "ffv1"), write_scene(tmp_path / "b.mkv", "ffv1", sigma=20)
    (tmp_path / "list").write_text(f"file '{good}'\nfile '{bad}'\n")
    run_ffmpeg("-f", "concat", "-safe", "0", "-i", tmp_path / "list", "-c", "copy", tmp_path / "both.mkv")
    info = probe(tmp_path / "both.mkv")
    assert judge_source(info, ReadOptions(start="0.4")).damage.noise > 8
    assert judge_source(info, ReadOptions(frames=4)).damage.noise < 2


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
    assert f"JPEG of quality {jpeg_quality(path.read_bytes())}" in verdict.why


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xdb\x00\x43\x00", b"\xff\xd8\xff\xdb\x00\x00" * 3]
)
def test_a_jpeg_without_a_table_has_no_quality_to_complain_of(data):
    assert 1 <= jpeg_quality(data) <= 100


def test_pictures_without_loss_are_clean_and_a_small_webp_is_not(tmp_path):
    for name in ("p.png", "p.tiff"):
        cv2.imwrite(str(tmp_path / name), photo())
        assert not judge_source(probe_image(tmp_path / name)).is_real
    leaves = cv2.resize(np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8), (256, 192))
    cv2.imwrite(str(tmp_path / "p.webp"), leaves, [cv2.IMWRITE_WEBP_QUALITY, 10])
    assert judge_source(probe_image(tmp_path / "p.webp")).is_real
    assert judge_source(probe_image(tmp_path / "p.webp")).why.startswith("p.webp: noise")
