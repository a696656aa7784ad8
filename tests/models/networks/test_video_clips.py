"""The field's video networks on clips: the command from end to end, seams of chunks, and figures on Vid4."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from support.clips import plane_view, read_number
from support.published import matlab_luma
from support.video_networks import FP32, TINY, saved, stream, tensors_of

from vsr.cli.main import run
from vsr.engine.engine import Engine
from vsr.frames import Frame, PictureFormat
from vsr.models import load
from vsr.models.files.checkpoint import read_model
from vsr.models.layers.bidirectional import in_chunks
from vsr.models.networks.basicvsrpp import BasicVsrPp

SIZE = (32, 48)


def faint(name: str, folder: Path) -> Path:
    """A network that adds little to the enlargement, so that what is drawn in frames can still be read."""
    tensors = tensors_of(name)
    last = [
        key
        for key in tensors
        if key.startswith(("conv_last", "basicvsr.conv_last", "neuro.conv_o", "layer3"))
    ]
    assert len(last) == 2
    return saved(folder, f"{name}_faint", tensors | {key: tensors[key] * 0.05 for key in last})


def read(path: Path) -> tuple[list[Fraction], list[av.VideoFrame]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.pts * frame.time_base for frame in frames], frames


@pytest.mark.parametrize("name", TINY)
def test_the_command_enhances_a_clip(name: str, make_clip, tmp_path: Path):
    clip, out = make_clip("in.mkv", num_frames=5, size=SIZE), tmp_path / "out.mkv"
    assert run(["enhance", str(clip), "-o", str(out), "--model", str(faint(name, tmp_path)), "--quiet"]) == 0
    times, frames = read(out)
    assert times == read(clip)[0]
    assert (frames[0].height, frames[0].width) == (4 * SIZE[0], 4 * SIZE[1])
    assert [read_number(plane_view(frame, 0)) for frame in frames] == list(range(5))


@pytest.mark.parametrize("name", ["basicvsrpp", "edvr", "rlsp"])
def test_other_networks_follow_and_go_before(name: str, make_clip, tmp_path: Path):
    clip, out = make_clip("in.mkv", num_frames=4, size=(16, 24)), tmp_path / "out.mkv"
    models = ["--model", "nano-x2", "--model", str(faint(name, tmp_path)), "--model", "bicubic-x2"]
    assert run(["enhance", str(clip), "-o", str(out), *models, "--quiet"]) == 0
    _, frames = read(out)
    assert (frames[0].height, frames[0].width) == (16 * 16, 16 * 24)
    assert [read_number(plane_view(frame, 0)) for frame in frames] == list(range(4))


def test_chunks_run_on_over_the_borders_of_segments(make_clip, tmp_path: Path):
    clip = make_clip("in.mkv", num_frames=9, size=(16, 24))
    command = ["enhance", str(clip), "--model", str(faint("basicvsr", tmp_path)), "--window", "3"]
    command += ["--encoder", "ffv1", "--quiet"]
    assert run([*command, "-o", str(tmp_path / "one.mkv"), "--segment", "off"]) == 0
    assert run([*command, "-o", str(tmp_path / "many.mkv"), "--segment", "0.12"]) == 0
    one, many = (read(tmp_path / name)[1] for name in ("one.mkv", "many.mkv"))
    assert len(one) == len(many) == 9
    for a, b in zip(one, many, strict=True):
        assert (plane_view(a, 0) == plane_view(b, 0)).all()


# Seams


def moving(num_frames: int, side: int) -> torch.Tensor:
    """A picture that pans by a pixel and a half a frame, (T, 3, side, side)."""
    rng = np.random.default_rng(0)
    large = cv2.resize(rng.random((16, 40, 3)).astype(np.float32), (400, 160), interpolation=cv2.INTER_CUBIC)
    places = [np.float32([[1, 0, -1.5 * n], [0, 1, 0]]) for n in range(num_frames)]
    frames = [cv2.warpAffine(large, place, (400, 160))[40 : 40 + side, 80 : 80 + side] for place in places]
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2) * 0.5 + 0.25


@pytest.mark.slow
def test_seams_fade_as_the_margin_grows(tmp_path: Path):
    """Largest difference from the whole clip, in the last frames of the chunks and in those before."""
    torch.manual_seed(1)
    net = BasicVsrPp(channels=16, depth=3, outer=2, sets=4, wide=16)
    weights = {
        key: torch.randn(v.shape) * 0.75 / max(1, v[0].numel()) ** 0.5 for key, v in net.state_dict().items()
    }
    weights |= {
        key: 0.05 * value for key, value in weights.items() if value.ndim == 1 or "basic_module.8" in key
    }
    weights |= {key: value for key, value in net.state_dict().items() if key.endswith((".mean", ".std"))}
    model, clip = read_model(saved(tmp_path, "net", weights)), moving(18, 32)
    whole = stream(in_chunks(model, emit=18, margin=0), clip)
    last, others = [], []
    for margin in (0, 2, 4, 6):
        difference = (stream(in_chunks(model, emit=6, margin=margin), clip) - whole).abs().amax((1, 2, 3))
        assert difference[12:].max() <= difference[:12].max()  # the last chunk has no frames after it to miss
        last.append(float(difference[[5, 11]].max()))
        others.append(float(difference[[0, 1, 2, 6, 7, 8]].max()))
        print(f"margin {margin}: last frames {last[-1]:.1e}, others {others[-1]:.1e}")
    assert last == sorted(last, reverse=True)
    assert last[-1] < last[0] / 10
    assert all(far <= near for far, near in zip(others, last, strict=True))


# Figures


def reduced(codes: np.ndarray) -> np.ndarray:
    """Every fourth pixel of the picture blurred by a Gaussian of 1.5 pixels, as RLSP's authors reduce."""
    blurred = cv2.GaussianBlur(codes.astype(np.float64), (13, 13), 1.5, borderType=cv2.BORDER_REFLECT)
    return blurred[::4, ::4].round().clip(0, 255).astype(np.uint8)


def enhanced(path: Path, pictures: Iterable[np.ndarray]) -> list[np.ndarray]:
    frames = []
    for n, picture in enumerate(pictures):
        format = PictureFormat(*picture.shape[:2], layout="rgb", range="full", matrix="gbr")
        frames.append(Frame(tuple(np.ascontiguousarray(picture[..., i]) for i in range(3)), format, pts=n))
    return [np.stack(frame.planes, -1) for frame in Engine([load(str(path))], FP32).run(frames)]


@pytest.mark.slow
@pytest.mark.parametrize(("clip", "psnr"), [("calendar", 23.82), ("foliage", 26.14)])
def test_rlsp_reaches_its_figures_on_vid4(clip: str, psnr: float, test_data: Path):
    with av.open(str(test_data / f"testsets/Vid4/{clip}.mkv")) as container:
        originals = [frame.to_ndarray(format="rgb24") for frame in islice(container.decode(video=0), 60)]
    outs = enhanced(test_data / "weights/rlsp_nc/rlsp_64_state_dict.pth", map(reduced, originals))
    figures = []
    for out, original in list(zip(outs, originals, strict=True))[2:-2]:
        error = (matlab_luma(out) - matlab_luma(original))[8:-8, 8:-8]
        figures.append(10 * np.log10(255**2 / np.mean(error**2)))
    print(f"RLSP 7-64, {clip}: {np.mean(figures):.3f} dB")
    assert np.mean(figures) == pytest.approx(psnr, abs=0.02)
