"""ESRGAN's and Real-ESRGAN's network: residual-in-residual dense blocks (Wang et al., "ESRGAN", ECCVW 2018;
Wang, Xie, Dong, Shan, "Real-ESRGAN", ICCVW 2021).

Three layouts are read: `body.N.rdb1.conv1`, ESRGAN's own `RRDB_trunk.N.RDB1.conv1`, and the oldest,
`model.1.sub.N.RDB1.conv1.0`. Where the first layer sees four or sixteen times the colours, the picture is
taken apart by pixel-unshuffle first, which halves or quarters the scale (x2plus).
"""

import math
import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.facts import summed
from vsr.models.layers.single_frame import SingleFrame, blocks_of, is_kernel

_SLOPE = 0.2
"""Of leaky ReLU."""

_SHARE = 0.2
"""Of every residual."""


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees all before it."""

    def __init__(self, channels: int, growth: int):
        super().__init__()
        for i in range(5):
            out = growth if i < 4 else channels
            self.add_module(f"conv{i + 1}", nn.Conv2d(channels + i * growth, out, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        seen = x
        for i in range(4):
            seen = torch.cat((seen, F.leaky_relu(self.get_submodule(f"conv{i + 1}")(seen), _SLOPE)), 1)
        return x + _SHARE * self.get_submodule("conv5")(seen)


class Rrdb(nn.Module):
    """Three dense blocks as one residual."""

    def __init__(self, channels: int, growth: int):
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(channels, growth) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return x + _SHARE * self.rdb3(self.rdb2(self.rdb1(x)))


class RrdbNet(SingleFrame):
    """`depth` RRDB, `num_doublings` enlargements by nearest neighbours, two layers at full size."""

    def __init__(
        self, *, channels: int, growth: int, depth: int, scale: int, num_doublings: int, colors: int
    ):
        super().__init__()
        self.scale = scale
        self.unshuffle = 2**num_doublings // scale
        self._doublings = [f"conv_up{i + 1}" for i in range(num_doublings)]
        self.conv_first = nn.Conv2d(colors * self.unshuffle**2, channels, 3, padding=1)
        self.body = nn.Sequential(*(Rrdb(channels, growth) for _ in range(depth)))
        self.conv_body = nn.Conv2d(channels, channels, 3, padding=1)
        for name in (*self._doublings, "conv_hr"):
            self.add_module(name, nn.Conv2d(channels, channels, 3, padding=1))
        self.conv_last = nn.Conv2d(channels, colors, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, scale*H, scale*W)."""
        head = self.conv_first(F.pixel_unshuffle(x, self.unshuffle))
        x = self.conv_body(self.body(head)) + head
        for name in self._doublings:
            x = F.leaky_relu(
                self.get_submodule(name)(F.interpolate(x, scale_factor=2, mode="nearest")), _SLOPE
            )
        return self.conv_last(F.leaky_relu(self.get_submodule("conv_hr")(x), _SLOPE))

    def finer_at(self, name: str) -> float:
        """How many samples of a layer's output lie along an input pixel's side."""
        doublings = [*self._doublings, "conv_hr", "conv_last"]
        done = min(doublings.index(name) + 1, len(self._doublings)) if name in doublings else 0
        return 2**done / self.unshuffle


def rrdb_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under `RrdbNet`'s names."""
    if "model.0.weight" in state:
        return {_from_oldest(state)(key): value for key, value in state.items()}
    if "RRDB_trunk.0.RDB1.conv1.weight" not in state:
        return state
    names = {"RRDB_trunk": "body", "trunk_conv": "conv_body", "HRconv": "conv_hr"}
    names |= {f"upconv{i}": f"conv_up{i}" for i in (1, 2, 3)}
    parts = ((key.partition("."), value) for key, value in state.items())
    return {_small(f"{names.get(head, head)}.{rest}"): value for (head, _, rest), value in parts}


def _small(key: str) -> str:
    return re.sub(r"RDB(\d)", r"rdb\1", key)


def _from_oldest(state: dict[str, Tensor]) -> Any:
    """Numbered layers: the first, the blocks, then from 2 or 3 on one for each doubling, and two more."""
    numbers = sorted(
        {int(key.split(".")[1]) for key in state if re.fullmatch(r"model\.\d+\.(weight|bias)", key)}
    )
    rest = [f"conv_up{i + 1}" for i in range(len(numbers) - 3)]
    names = dict(zip(numbers, ("conv_first", *rest, "conv_hr", "conv_last"), strict=False))
    last_block = blocks_of(state, "model.1.sub.") - 1

    def name(key: str) -> str:
        key = re.sub(rf"^model\.1\.sub\.{last_block}\.(weight|bias)$", r"conv_body.\1", key)
        key = re.sub(r"^model\.1\.sub\.(\d+)\.RDB(\d)\.(conv\d)\.0\.", r"body.\1.rdb\2.\3.", key)
        return re.sub(r"^model\.(\d+)\.(weight|bias)$", lambda m: f"{names[int(m[1])]}.{m[2]}", key)

    return name


def rrdb_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `RrdbNet`'s arguments from its tensors; None where they are not a `RrdbNet`'s."""
    state = rrdb_keys(state)
    if not is_kernel(
        state, "conv_first.weight", "body.0.rdb1.conv1.weight", "conv_hr.weight", "conv_last.weight"
    ):
        return None
    channels, seen = state["conv_first.weight"].shape[:2]
    colors = state["conv_last.weight"].shape[0]
    doublings = sum(re.fullmatch(r"conv_up\d+\.weight", key) is not None for key in state)
    unshuffle = math.isqrt(seen // max(1, colors))
    if unshuffle not in (1, 2, 4) or doublings > 3 or unshuffle > 2**doublings:
        return None
    return {
        "channels": channels,
        "growth": state["body.0.rdb1.conv1.weight"].shape[0],
        "depth": blocks_of(state, "body."),
        "scale": 2**doublings // unshuffle,
        "num_doublings": doublings,
        "colors": colors,
    }


def rrdb_facts(network: nn.Module, colors: int) -> dict[str, Any]:
    """Reach, cost and what unshuffling asks of the picture's size; no bf16, which
    rounds the picture to eight bits."""
    assert isinstance(network, RrdbNet)
    layers = network.named_modules()
    facts = summed((layer, network.finer_at(name)) for name, layer in layers if isinstance(layer, nn.Conv2d))
    return facts | {"dtypes": ("fp32", "fp16"), "size_multiple": network.unshuffle}
