"""The field's video networks, tiny."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vsr.engine.engine import Engine
from vsr.frames import Frame, PictureFormat
from vsr.models.networks.basicvsr import BasicVsr
from vsr.models.networks.basicvsrpp import BasicVsrPp
from vsr.models.networks.edvr import Edvr
from vsr.models.networks.realbasicvsr import RealBasicVsr
from vsr.models.networks.rlsp import Rlsp
from vsr.models.networks.rrn import Rrn
from vsr.models.spec import Model
from vsr.options import EngineOptions

TINY: dict[str, Callable[[], nn.Module]] = {
    "basicvsr": lambda: BasicVsr(channels=4, depth=1, wide=4),
    "basicvsrpp": lambda: BasicVsrPp(channels=4, depth=1, outer=1, sets=2, wide=4),
    "realbasicvsr": lambda: RealBasicVsr(channels=4, depth=1, outer=1, wide=4),
    "edvr": lambda: Edvr(channels=4, depth=1, outer=1, sets=2, num_frames=5, wide=4),
    "rlsp": lambda: Rlsp(channels=4, depth=2, scale=4, colors=3),
    "rrn": lambda: Rrn(channels=4, depth=2, scale=4, colors=3),
}


def tensors_of(name: str) -> dict[str, Tensor]:
    """Weights that let much through: motion of some pixels, and detail that depends on it."""
    torch.manual_seed(7)
    state = {}
    for key, value in TINY[name]().state_dict().items():
        gain = 0.4 if name == "rlsp" else 1.0  # RLSP's values go to 255
        gain *= (
            0.1 if value.ndim == 1 or re.search(r"basic_module\.8|conv_last|conv_o\.|cleaning\.1", key) else 1
        )
        made = torch.randn(value.shape) * gain / max(1, value[0].numel()) ** 0.5
        state[key] = value if key.endswith((".mean", ".std")) else made
    return state


def saved(folder: Path, name: str, tensors: dict[str, Tensor]) -> Path:
    torch.save({"params": tensors}, folder / f"{name}.pth")
    return folder / f"{name}.pth"


def frame_of(values: Tensor, number: int = 0, **options: bool) -> Frame:
    """16 bits, so that rounding hides nothing."""
    planes = tuple((plane * 65535).round().numpy().astype(np.uint16) for plane in values)
    format = PictureFormat(*planes[0].shape, bit_depth=16, layout="rgb", range="full", matrix="gbr")
    return Frame(planes, format, pts=number, **options)


FP32 = EngineOptions(device="cpu", precision="fp32", threads=1)


def stream(model: Model, clip: Tensor, resets: tuple[int, ...] = (), options: EngineOptions = FP32) -> Tensor:
    """What the engine makes of (T, 3, H, W)."""
    frames = [frame_of(values, n, reset=n in resets) for n, values in enumerate(clip)]
    out = list(Engine([model], options).run(frames))
    assert [frame.pts for frame in out] == list(range(len(clip)))
    return torch.stack([torch.from_numpy(np.stack(frame.planes).astype(np.float32)) / 65535 for frame in out])
