"""The network for real footage: works on luma and chroma as they are coded, and is told how damaged they are.

4:2:0 is 6 values for each square of 2×2 pixels: four of luma and one of each chroma. In that packed form all layers
run at half resolution and below, where the same arithmetic gives four times the channels or twice the reach, and
chroma noise, half of what people see, is taken off together with luma's. Two more planes tell the strengths.
"""

import re
from typing import Any

import torch
from torch import Tensor, nn

from vsr.models.layers.facts import FARTHEST
from vsr.models.layers.residual_block import ResidualBlock
from vsr.models.layers.single_frame import SingleFrame, is_kernel
from vsr.models.spec import PACKED, TOLD
from vsr.resample import pixel_shuffle


class PlanesNet(SingleFrame):
    """A small U-shape on packed 4:2:0 with one tail for each scale; emits the residual to the enlarged planes."""

    centre: Tensor
    """What is taken from each channel of the input, so that all of them lie about 0."""
    gain: Tensor
    """What each is multiplied by before."""

    ranges: Tensor
    """Lowest and highest value that int8 tells apart, of what each convolution but the head sees; 0 before
    calibration."""

    def __init__(
        self,
        *,
        channels: int,
        deep: int,
        depth: tuple[int, int, int],
        scales: tuple[int, ...],
        scale: int,
        colors: int = PACKED + TOLD,
    ):
        """Make it with fresh weights; it begins as the plain enlargement.

        Args:
            channels: at half resolution.
            deep: channels at a quarter of it, where reach is cheap.
            depth: blocks before going down, below, and after coming up.
            scales: enlargements of a side that it has learnt; one tail each.
            scale: the one that it is used for.
            colors: channels of its input.

        Raises:
            ValueError: it has no such scale.
        """
        super().__init__()
        if scale not in scales:
            raise ValueError(f"it enlarges by {', '.join(map(str, scales))}, not by {scale}")
        self.scale = scale
        before, below, after = depth
        self.head = nn.Conv2d(colors, channels, 3, padding=1)
        self.before = nn.Sequential(*(_block(channels) for _ in range(before)))
        self.down = nn.Conv2d(channels, deep, 3, stride=2, padding=1)
        self.below = nn.Sequential(*(_block(deep) for _ in range(below)))
        self.up = nn.Conv2d(deep, 4 * channels, 1)
        self.after = nn.Sequential(*(_block(channels) for _ in range(after)))
        self.tails = nn.ModuleDict({str(each): _tail(channels, each) for each in scales})
        self.register_buffer("ranges", torch.zeros(2 * sum(depth) + 3, 2))
        self.register_buffer("centre", _by_channel(colors, luma=1.0), persistent=False)
        self.register_buffer(
            "gain", _by_channel(colors, luma=2.0, chroma=2.0, told=1.0, differs=4.0), persistent=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 8, h, w) packed and told, h and w even → (B, 6, scale*h, scale*w) packed, the residual."""
        x = x * self.gain - self.centre  # 0.955 of bicubic's loss after 28 s where it was 0.977 without
        x = self.before(self.head(x))
        x = self.after(x + pixel_shuffle(self.up(self.below(self.down(x))), 2))
        return pixel_shuffle(self.tails[str(self.scale)](x), self.scale)


def _by_channel(
    colors: int, *, luma: float = 0.0, chroma: float = 0.0, told: float = 0.0, differs: float = 0.0
) -> Tensor:
    """(1, colors, 1, 1) of packed planes, what is told, and by what neighbours differ where they are shown."""
    each = [luma] * 4 + [chroma] * (PACKED - 4) + [told] * TOLD + [differs] * (colors - PACKED - TOLD)
    return torch.tensor(each).view(1, -1, 1, 1)


def _tail(channels: int, scale: int) -> nn.Conv2d:
    """One whose residual is nothing yet."""
    tail = nn.Conv2d(channels, PACKED * scale * scale, 3, padding=1)
    for parameter in tail.parameters():
        nn.init.zeros_(parameter)
    return tail


def _block(channels: int) -> ResidualBlock:
    """One that adds little yet, to what is never cut at 0.

    In a plain stack with the small last layer that such networks need, all activations had died after 500 steps.
    """
    block = ResidualBlock(channels)
    nn.init.kaiming_normal_(block.conv1.weight, nonlinearity="relu")
    nn.init.normal_(block.conv2.weight, std=1e-2)
    return block


def planes_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `PlanesNet`'s arguments, but the scale, from its tensors; None where they are not a `PlanesNet`'s."""
    scales = sorted(
        int(found[1]) for key in state if (found := re.fullmatch(r"tails\.(\d{1,2})\.weight", key))
    )
    if not scales or not is_kernel(state, "head.weight", "down.weight", "up.weight"):
        return None
    head, down = state["head.weight"], state["down.weight"]
    stages = ("before", "below", "after")
    depth = tuple(
        sum(key.startswith(f"{stage}.") and key.endswith("conv1.weight") for key in state) for stage in stages
    )
    return {
        "channels": head.shape[0],
        "deep": down.shape[0],
        "depth": depth,
        "scales": tuple(scales),
        "colors": head.shape[1],
    }


def planes_facts(network: nn.Module, colors: int) -> dict[str, Any]:
    """Facts of a `PlanesNet`, by pixel of the picture where they count pixels: four make one of what it sees.

    Summed here, since for finding them `facts_of` makes PyTorch load its compiler: two seconds at each start.
    """
    assert isinstance(network, PlanesNet)
    fine = _convolutions(network.head, network.before, network.after, network.tails[str(network.scale)])
    down, *below = _convolutions(network.down, network.below, network.up)
    halo = _reach(*fine, down) + 2 * _reach(*below)
    weights = (
        sum(each.weight.numel() for each in fine) + sum(each.weight.numel() for each in (down, *below)) / 4
    )
    facts: dict[str, Any] = {
        "halo": halo if halo <= FARTHEST else None,
        "kflop_per_pixel": 2 * weights / 4000,
    }
    if network.ranges.any():
        facts["dtypes"] = ("fp32", "bf16", "fp16", "int8")
    return facts | {"size_multiple": 2}


def _convolutions(*parts: nn.Module) -> list[nn.Conv2d]:
    return [layer for part in parts for layer in part.modules() if isinstance(layer, nn.Conv2d)]


def _reach(*layers: nn.Conv2d) -> int:
    """Pixels to one side that layers of one grid see together."""
    return sum(layer.kernel_size[0] // 2 for layer in layers)
