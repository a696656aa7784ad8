"""Networks of others through the whole product: clips, photos, tiles, chains, cameras."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.clips import read_video
from support.convolutional import TINY, tensors_of
from support.deblurgan import as_published, weights
from support.published import noise, run_tiled
from support.published import run as enhanced
from support.safmn import tensors_of as safmn_of

from vsr.cli.main import run
from vsr.models import load

FAST = ["--preset", "ultrafast", "--quiet"]


@pytest.fixture
def zoo(tmp_path: Path) -> dict[str, str]:
    """Files as they are given out, of tiny networks."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    torch.save(as_published(weights(None)), folder / "fpn_mobilenet.h5")
    torch.save({"params": safmn_of("paper")}, folder / "safmn.pth")
    for name in TINY:
        torch.save({"state_dict": tensors_of(name)}, folder / f"{name}.ckpt")
    return {path.stem: str(path) for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("chain", "flags", "factor"),
    [
        (["fpn_mobilenet", "safmn"], ["--tile", "64"], 2),
        (["srresnet3"], ["--tile", "16"], 3),
        pytest.param(["fpn_mobilenet"], ["--scale", "1"], 1, marks=pytest.mark.slow),
        pytest.param(["fpn_mobilenet", "vdsr_x2", "edsr"], [], 4, marks=pytest.mark.slow),
        pytest.param(["safmn", "fast-x2"], ["--height", "288"], 3, marks=pytest.mark.slow),
    ],
)
def test_a_clip_goes_through_a_chain(chain, flags, factor: int, zoo, make_clip, tmp_path: Path):
    clip = make_clip("in.mp4", num_frames=5, size=(96, 80))
    models = [word for name in chain for word in ("--model", zoo.get(name, name))]
    assert run(["enhance", str(clip), "-o", str(tmp_path / "out.mp4"), *models, *flags, *FAST]) == 0
    before, after = read_video(clip), read_video(tmp_path / "out.mp4")
    assert after[0] == before[0]
    assert {(frame.height, frame.width) for frame in after[1]} == {(96 * factor, 80 * factor)}


def test_a_photo_of_odd_size_is_what_the_network_makes_of_it(zoo, tmp_path: Path):
    pixels = noise(45, 71, 3, seed=2).mul(255).byte().numpy()
    cv2.imwrite(str(tmp_path / "in.png"), pixels)
    words = ["--model", zoo["esrgan"], "--precision", "fp32", "--tile", "16"]
    assert run(["enhance", str(tmp_path / "in.png"), "-o", str(tmp_path / "out.png"), *words]) == 0
    got = cv2.imread(str(tmp_path / "out.png"))
    assert got is not None
    x = torch.from_numpy(np.ascontiguousarray(pixels[..., ::-1])).permute(2, 0, 1)[None] / 255
    model = load(zoo["esrgan"])
    wanted = (enhanced(model, x)[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()[..., ::-1]
    assert (enhanced(model, x) - run_tiled(model, x, 16)).abs().max() < 1e-5
    assert np.abs(got.astype(float) - wanted).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize(("name", "scale"), [("fpn_mobilenet", 1), ("safmn", 2)])
def test_a_camera_is_served(name: str, scale: int, zoo, make_clip, tmp_path: Path):
    clip = make_clip("camera.mp4", num_frames=10, size=(64, 64))
    words = [
        "live",
        str(clip),
        "--model",
        zoo[name],
        "--scale",
        str(scale),
        "--snapshot",
        str(tmp_path / "now.jpg"),
    ]
    assert run([*words, "--duration", "2"]) == 0
    picture = cv2.imread(str(tmp_path / "now.jpg"))
    assert picture is not None
    assert picture.shape[:2] == (64 * scale, 64 * scale)
