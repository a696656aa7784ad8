"""Published networks in tests: weights made by the data's rule, the answers that go with them, figures on Set5."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from vsr.engine.engine import Engine
from vsr.engine.tiles import padded, tiled
from vsr.frames import Frame, PictureFormat
from vsr.models.files.checkpoint import read_model
from vsr.models.spec import Model
from vsr.options import EngineOptions
from vsr.resample import enlarge


def filled(recipe: dict, seeded_as: Callable[[str], str] = str) -> dict[str, Tensor]:
    """Weights that anyone can make: normal numbers seeded by the key's name, or by another that it goes by."""
    state = {}
    for key, entry in recipe["keys"].items():
        if entry["filled"]:
            n = np.random.default_rng(zlib.crc32(seeded_as(key).encode())).standard_normal(entry["shape"])
            state[key] = torch.from_numpy(_by_rule(key, n, recipe["gain"]).astype(np.float32))
    return state


def _by_rule(key: str, n: np.ndarray, gain: float) -> np.ndarray:
    if n.ndim >= 2:
        return gain * n / np.sqrt(np.prod(n.shape[1:]))
    if key.endswith("running_var"):
        return 1 + 0.1 * np.abs(n)
    # A slope of PReLU is a one-dimensional weight too.
    return 1 + 0.1 * n if key.endswith("weight") else 0.05 * n


def run(model: Model, x: Tensor) -> Tensor:
    """(B, C, H, W) → the enhanced pictures, as the engine would make them of the whole."""
    spec = model.spec
    with torch.inference_mode():
        out = padded(
            lambda frames: _step(model, frames), x[:, None], scale=spec.scale, multiple=spec.size_multiple
        )
    return out[:, 0] + base(model, x)


def run_tiled(model: Model, x: Tensor, tile: int) -> Tensor:
    """The same in tiles."""
    spec = model.spec

    def step(frames: Tensor) -> Tensor:
        return padded(lambda part: _step(model, part), frames, scale=spec.scale, multiple=spec.size_multiple)

    with torch.inference_mode():
        out = tiled(
            step, x[:, None], tile=tile, halo=spec.halo, scale=spec.scale, multiple=spec.size_multiple
        )
    return out[:, 0] + base(model, x)


def _step(model: Model, frames: Tensor) -> Tensor:
    white = model.spec.value_range
    return model.network.step(frames * white, None, torch.ones(len(frames), dtype=torch.bool))[0] / white


def base(model: Model, x: Tensor) -> Tensor:
    """What the engine adds."""
    if model.spec.residual == "none":
        return torch.zeros(())
    if model.spec.residual == "nearest":
        return torch.nn.functional.interpolate(x, scale_factor=model.spec.scale, mode="nearest")
    return enlarge(x, model.spec.scale)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def reference_error(name: str, folder: Path, data: Path) -> tuple[Model, float]:
    """Load a published layout from a file; the largest difference from the known answer, in its deviations."""
    recipe = json.loads((data / "reference" / f"{name}.json").read_text())
    wanted = np.load(data / "reference" / f"{name}.npz")["crop"]
    torch.save({"params": filled(recipe)}, folder / f"{name}.pth")
    model = read_model(folder / f"{name}.pth")
    assert sum(p.numel() for p in model.network.parameters()) == recipe["num_params"]  # type: ignore[attr-defined]
    x = torch.from_numpy(
        np.random.default_rng(recipe["input_seed"]).random(recipe["input_shape"]).astype(np.float32)
    )
    out = run(model, x)
    assert abs(float(out.mean()) - recipe["mean"]) <= 1e-4 * recipe["std"]
    top, left, size = recipe["crop"]
    crop = out[..., top : top + size, left : left + size].numpy()
    return model, float(np.abs(crop - wanted).max() / recipe["std"])


def matlab_luma(rgb: np.ndarray) -> np.ndarray:
    """Y' of BT.601, limited, not rounded: what the field's tables are made with."""
    return 16 + rgb.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / 255


def read_rgb(path: Path) -> np.ndarray:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert pixels is not None, path
    return np.ascontiguousarray(pixels[..., ::-1])


def set5_psnr(model: Model, folder: Path) -> float:
    """Mean Y-PSNR over Set5, low-resolution files in and 8-bit RGB out through the engine, as a user's photo goes."""
    scale, figures = model.spec.scale, []
    for path in sorted((folder / "testsets/Set5/HR").glob("*.png")):
        high = read_rgb(path)
        low = read_rgb(folder / f"testsets/Set5/LR_bicubic/X{scale}/{path.stem}x{scale}.png")
        planes = tuple(np.ascontiguousarray(low[..., i]) for i in range(3))
        format = PictureFormat(*low.shape[:2], layout="rgb", range="full", matrix="gbr")
        engine = Engine([model], EngineOptions(device="cpu", precision="fp32", threads=1))
        (out,) = engine.run([Frame(planes, format)])
        got = matlab_luma(np.stack(out.planes, -1))
        inside = (slice(scale, got.shape[0] - scale), slice(scale, got.shape[1] - scale))
        error = got[inside] - matlab_luma(high[: got.shape[0], : got.shape[1]])[inside]
        figures.append(10 * np.log10(255**2 / np.mean(error**2)))
    print(f"{model.spec.name}: Set5 x{scale} {np.mean(figures):.2f} dB")
    return float(np.mean(figures))
