"""VMAF, LPIPS and NIQE: against what their authors' programs say, and by what must hold whatever the weights."""

import math
import subprocess
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vsr.cli.main import run
from vsr.errors import ConfigError, ModelError, SinkError, SourceError
from vsr.media.ffmpeg import find_remuxer, has_filter
from vsr.media.vmaf import Vmaf, find_vmaf, has_vmaf_v1
from vsr.quality.dists import Dists
from vsr.quality.lpips import Lpips
from vsr.quality.metrics import luma_of
from vsr.quality.niqe import Niqe


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


# NIQE


@pytest.fixture
def niqe(test_data: Path) -> Niqe:
    return Niqe(test_data / "weights" / "metrics" / "niqe_pris_params.npz")


@pytest.mark.parametrize(("name", "value"), [("baby", 3.2655), ("butterfly", 5.1549), ("woman", 4.3978)])
def test_niqe_agrees_with_basicsr(name: str, value: float, niqe: Niqe, test_data: Path):
    picture = cv2.imread(str(test_data / "testsets" / "Set5" / "HR" / f"{name}.png"))[..., ::-1]
    # Few blocks make the covariance singular, and its inverse magnifies the last digits.
    assert niqe(picture) == pytest.approx(value, rel=0.002)


def test_niqe_rises_with_noise_and_blur(niqe: Niqe, test_data: Path):
    picture = cv2.imread(str(test_data / "testsets" / "Set5" / "HR" / "baby.png"))[..., ::-1]
    noisy = np.clip(picture + np.random.default_rng(0).normal(0, 30, picture.shape), 0, 255).astype(np.uint8)
    blurred = cv2.GaussianBlur(picture, (0, 0), 4)
    assert niqe(picture) + 2 < min(niqe(noisy), niqe(blurred))


def test_niqe_of_what_has_no_blocks_or_no_structure_is_nothing(niqe: Niqe):
    assert math.isnan(niqe(noise(95, 300, 3)))
    assert math.isnan(niqe(noise(96, 96, 3)))
    flat = np.full((192, 192, 3), 90, np.uint8)
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="empty slice"):
        assert math.isnan(niqe(flat))


def test_other_files_are_no_parameters_of_niqe(tmp_path: Path):
    for name, arrays in (("a.npz", {"x": np.zeros(3)}), ("b.npz", {"mu_pris_param": np.zeros(3)})):
        np.savez(tmp_path / name, **arrays)
    (tmp_path / "c.npz").write_bytes(b"PK nothing")
    for path in (tmp_path / "a.npz", tmp_path / "b.npz", tmp_path / "c.npz", tmp_path / "none.npz"):
        with pytest.raises(ModelError, match="mu_pris_param and cov_pris_param is expected"):
            Niqe(path)


# LPIPS

VGG16 = [(0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256), (12, 256, 256), (14, 256, 256)]
VGG16 += [(17, 256, 512), (19, 512, 512), (21, 512, 512), (24, 512, 512), (26, 512, 512), (28, 512, 512)]
ALEXNET = [(0, 3, 64), (3, 64, 192), (6, 192, 384), (8, 384, 256), (10, 256, 256)]
ALEXNET_SIDES = {0: 11, 3: 5}


def write_backbone(path: Path, layout: list[tuple[int, int, int]], sides: dict[int, int]) -> Path:
    """Weights that anyone can make: normal numbers seeded by the key."""
    weights = {}
    for index, given, made in layout:
        side = sides.get(index, 3)
        shapes = {"weight": (made, given, side, side), "bias": (made,)}
        for name, shape in shapes.items():
            key = f"features.{index}.{name}"
            n = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)
            gain = math.sqrt(2 / (given * side * side)) if name == "weight" else 0.05
            weights[key] = torch.from_numpy(n * gain).float()
    torch.save(weights, path)
    return path


@pytest.fixture
def alexnet(tmp_path: Path) -> Path:
    return write_backbone(tmp_path / "alexnet.pth", ALEXNET, ALEXNET_SIDES)


def heads(test_data: Path, kind: str) -> Path:
    return test_data / "weights" / "metrics" / f"lpips_v0.1_lin_{kind}.pth"


def two_pictures() -> tuple[np.ndarray, np.ndarray]:
    a, b = (noise(80, 96, 3, seed=seed) for seed in (1, 2))
    return a, a // 2 + b // 2


def test_lpips_on_alexnet_agrees_with_its_authors(alexnet: Path, test_data: Path):
    # lpips 0.1.4 with these weights
    assert Lpips(alexnet, heads(test_data, "alex"))(*two_pictures()) == pytest.approx(0.0486683, abs=1e-6)


def test_lpips_on_vgg_agrees_with_its_authors(tmp_path: Path, test_data: Path):
    backbone = write_backbone(tmp_path / "vgg16.pth", VGG16, {})
    assert Lpips(backbone, heads(test_data, "vgg"))(*two_pictures()) == pytest.approx(0.0554771, abs=1e-6)


def test_lpips_is_a_distance(alexnet: Path, test_data: Path):
    lpips = Lpips(alexnet, heads(test_data, "alex"))
    a, b = two_pictures()
    assert lpips(a, a) == 0
    assert lpips(a, b) == pytest.approx(lpips(b, a), rel=1e-5)
    nearer = (0.9 * a + 0.1 * b).astype(np.uint8)
    assert lpips(a, nearer) < lpips(a, b)
    with pytest.raises(SourceError, match="64x64"):
        lpips(a[:40], b[:40])


def test_lpips_wants_a_backbone_and_its_own_heads(alexnet: Path, tmp_path: Path, test_data: Path):
    with pytest.raises(ModelError, match="do not belong together"):
        Lpips(alexnet, heads(test_data, "vgg"))
    with pytest.raises(ModelError, match=r"have no 'features\.0\.weight'"):
        Lpips(heads(test_data, "alex"), heads(test_data, "alex"))


def test_dists_agrees_with_its_authors(tmp_path: Path, test_data: Path):
    backbone = write_backbone(tmp_path / "vgg16.pth", VGG16, {})
    dists = Dists(backbone, test_data / "weights" / "metrics" / "dists_weights.pt")
    a, b = two_pictures()
    assert dists(a, b) == pytest.approx(0.0705202, abs=1e-6)  # dists-pytorch 0.1 with these weights
    assert dists(a, a) == 0
    with pytest.raises(SourceError, match="DISTS needs 64x64"):
        dists(a[:40], b[:40])


def test_dists_wants_a_vgg16_and_its_own_weights(alexnet: Path, test_data: Path):
    weights = test_data / "weights" / "metrics" / "dists_weights.pt"
    with pytest.raises(ModelError, match=r"have no 'features\.2\.weight'"):
        Dists(alexnet, weights)
    with pytest.raises(ModelError, match="have no"):
        Dists(weights, alexnet)


# VMAF


@pytest.fixture
def vmaf() -> Vmaf:
    if not has_filter(find_remuxer(), "libvmaf"):
        pytest.skip("no FFmpeg here has libvmaf")
    return Vmaf(threads=1)


def lumas(num_frames: int, noise_of: float = 0.0) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    scene = cv2.GaussianBlur(rng.normal(0, 400, (145, 260)), (0, 0), 3) + 120
    return [
        np.clip(scene[:, 2 * n : 2 * n + 193] + rng.normal(0, noise_of, (145, 193)), 16, 235)
        for n in range(num_frames)
    ]


def measured(vmaf: Vmaf, results: list[np.ndarray], originals: list[np.ndarray]) -> float:
    with vmaf:
        for result, original in zip(results, originals, strict=True):
            vmaf.add(result, original)
        return vmaf.value()


def test_vmaf_is_that_of_ffmpeg_on_two_files(vmaf: Vmaf, tmp_path: Path):
    originals, results = lumas(5), lumas(5, 12)
    size = (144, 192)
    for name, planes in (("a", results), ("b", originals)):
        grey = bytes([128]) * (size[0] * size[1] // 2)
        frames = [np.rint(plane[: size[0], : size[1]]).astype(np.uint8).tobytes() + grey for plane in planes]
        (tmp_path / f"{name}.yuv").write_bytes(b"".join(frames))
    raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{size[1]}x{size[0]}"]
    inputs = [*raw, "-i", str(tmp_path / "a.yuv"), *raw, "-i", str(tmp_path / "b.yuv")]
    command = [find_vmaf(), *inputs, "-lavfi", "[0:v][1:v]libvmaf", "-f", "null", "-"]
    log = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    reference = float(log.split("VMAF score: ")[1].split()[0])
    assert measured(vmaf, results, originals) == pytest.approx(reference, abs=1e-4)
    assert 5 < reference < 95


def test_the_newer_vmaf_sees_colour(vmaf: Vmaf):
    if not has_vmaf_v1():
        pytest.skip("this libvmaf has no newer models")
    rng = np.random.default_rng(0)
    scene = [cv2.GaussianBlur(rng.normal(0, 400, (360, 360)), (0, 0), 3) + 120 for _ in range(3)]

    def clip(noise: float, colour: float) -> list[np.ndarray]:
        return [scene + rng.normal(0, (noise, colour, colour), (360, 360, 3)).transpose(2, 0, 1)] * 2

    newer, originals, grey, coloured = Vmaf(threads=1, model="v1"), clip(0, 0), clip(12, 0), clip(12, 40)
    assert measured(newer, originals, originals) > 90
    assert measured(newer, coloured, originals) < measured(newer, grey, originals) - 1
    lumas_alone = ([planes[0] for planes in pictures] for pictures in (coloured, originals))
    assert measured(vmaf, *lumas_alone) == measured(vmaf, coloured, originals)


def test_vmaf_of_equal_clips_is_high_and_one_meter_serves_many_clips(vmaf: Vmaf):
    assert measured(vmaf, lumas(4), lumas(4)) > measured(vmaf, lumas(4, 60), lumas(4)) + 5
    assert measured(vmaf, lumas(4), lumas(4)) > 90


def test_vmaf_that_breaks_off_says_so_and_leaves_no_process(vmaf: Vmaf):
    with vmaf, pytest.raises(SinkError, match="no frame"):
        vmaf.value()
    (plane,) = lumas(1)
    with vmaf:
        vmaf.add(plane, plane)
        child = vmaf._child
        assert child is not None
        child.kill()
        with pytest.raises(SinkError, match="libvmaf ended"):
            vmaf.add(plane, plane)
    assert not Path(f"/proc/{child.pid}").exists()


def test_an_ffmpeg_without_libvmaf_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    poor = tmp_path / "ffmpeg"
    poor.write_text("#!/bin/sh\necho ' ... vmafmotion        V->V       Calculate the VMAF Motion score.'\n")
    poor.chmod(0o755)
    monkeypatch.setenv("VSR_FFMPEG", str(poor))
    monkeypatch.setattr("vsr.media.vmaf.find_remuxer", lambda: str(poor))
    with pytest.raises(ConfigError, match=r"ffmpeg has no libvmaf; set VSR_FFMPEG"):
        find_vmaf()


# The command


def test_the_command_measures_all_of_them(
    vmaf: Vmaf, make_clip, alexnet: Path, test_data: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["--lpips-backbone", str(alexnet), "--lpips-heads", str(heads(test_data, "alex")), "--vmaf"]
    words += ["--niqe", str(test_data / "weights" / "metrics" / "niqe_pris_params.npz")]
    clip = make_clip("a.mp4", size=(200, 208), num_frames=3)
    assert run(["eval", str(clip), "--model", "bicubic", "--debug", *words]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("LPIPS", "NIQE", "VMAF"))


def test_heads_without_a_backbone_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["eval", str(tmp_path), "--lpips-heads", "a.pth"]) == 2
    assert "give both" in capsys.readouterr().err


def test_luma_of_black_and_white_is_limited_as_vmaf_wants_it():
    assert luma_of(np.array([[[0, 0, 0], [255, 255, 255]]])).tolist() == [[16, 235]]
