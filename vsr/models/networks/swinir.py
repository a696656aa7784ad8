"""SwinIR (Liang et al., "SwinIR: Image Restoration Using Swin Transformer",
ICCVW 2021): classical, light and real.

Features are attended to within windows of 8 pixels, every second block in windows moved by half of
that (Liu et al., "Swin Transformer", ICCV 2021). What a moved window joins across the picture's edge
is told apart by a mask, which is made for the size at hand; the masks and indices that files carry are
for one training size and are left.
"""

import math
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.layers.facts import facts_of
from vsr.models.layers.single_frame import SingleFrame, blocks_of, div2k_mean, is_kernel
from vsr.models.layers.upsampling import upsampler, upsampler_scale

Tail = Literal["pixelshuffle", "pixelshuffledirect", "nearest+conv", ""]
"""How it enlarges: classical, light, real; empty for scale 1."""

_APART = -100.0
"""Added before softmax to what must not attend to each other."""

_BUFFERS = ("relative_position_index", "attn_mask")


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _pairs(window: int) -> Tensor:
    """Which row of the bias table belongs to two pixels of a window, (window², window²)."""
    y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    places = torch.stack((y.flatten(), x.flatten()))
    apart = places[:, :, None] - places[:, None] + window - 1
    return apart[0] * (2 * window - 1) + apart[1]


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _mask(height: int, width: int, window: int, device: torch.device) -> Tensor:
    """(windows, window², window²): what keeps apart pixels that met only because the picture was rolled."""
    areas = torch.zeros(1, height, width, 1, device=device)
    cuts = (slice(0, -window), slice(-window, -(window // 2)), slice(-(window // 2), None))
    for i, rows in enumerate(cuts):
        for j, columns in enumerate(cuts):
            areas[:, rows, columns] = 3 * i + j
    area = _windows(areas, window).squeeze(-1)
    return (area[:, None] != area[:, :, None]) * _APART


def _windows(x: Tensor, window: int) -> Tensor:
    """(B, H, W, C) → (B * windows, window², C)."""
    b, h, w, c = x.shape
    x = x.view(b, h // window, window, w // window, window, c)
    return x.transpose(2, 3).reshape(-1, window * window, c)


def _joined(x: Tensor, height: int, width: int, window: int) -> Tensor:
    """The inverse of `_windows`."""
    rows, columns = height // window, width // window
    x = x.view(-1, rows, columns, window, window, x.shape[-1])
    return x.transpose(2, 3).reshape(-1, height, width, x.shape[-1])


class _Attention(nn.Module):
    """Multi-head attention within windows, with a learnt bias for every relative position."""

    def __init__(self, channels: int, heads: int, window: int):
        super().__init__()
        self._heads, self._window = heads, window
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B * windows, window², C), same shape out; mask (windows, window², window²)."""
        n, length, channels = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
        pairs = _pairs(self._window).to(x.device)
        bias = (
            self.relative_position_bias_table[pairs.flatten()].view(length, length, -1).permute(2, 0, 1)[None]
        )
        if mask is not None:
            bias = (bias + mask[:, None].to(bias.dtype)).repeat(n // len(mask), 1, 1, 1)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.expand(n, -1, -1, -1).to(q.dtype))
        return self.proj(x.transpose(1, 2).reshape(n, length, channels))


class _Mlp(nn.Module):
    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class _Block(nn.Module):
    """Attention, then a multi-layer perceptron, each on what is normalised and added to what comes in."""

    def __init__(self, channels: int, heads: int, window: int, hidden: int, *, shift: int):
        super().__init__()
        self._window, self._shift = window, shift
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attn = _Attention(channels, heads, window)
        self.mlp = _Mlp(channels, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C), same shape out."""
        _, height, width, _ = x.shape
        y = self.norm1(x)
        # A picture of one window's height or width is rolled all the same: the mask tells its halves apart.
        mask = _mask(height, width, self._window, x.device) if self._shift else None
        if self._shift:
            y = y.roll((-self._shift, -self._shift), (1, 2))
        y = _joined(self.attn(_windows(y, self._window), mask), height, width, self._window)
        if self._shift:
            y = y.roll((self._shift, self._shift), (1, 2))
        x = x + y
        return x + self.mlp(self.norm2(x))


class _Blocks(nn.Module):
    def __init__(self, *, channels: int, heads: int, window: int, hidden: int, depth: int):
        super().__init__()
        shifts = (window // 2 * (i % 2) for i in range(depth))
        self.blocks = nn.Sequential(
            *(_Block(channels, heads, window, hidden, shift=shift) for shift in shifts)
        )


class _Group(nn.Module):
    """Blocks and a convolution (or three, narrow between) as one residual: RSTB."""

    def __init__(self, *, narrow: bool, **sizes: int):
        super().__init__()
        channels = sizes["channels"]
        self.residual_group = _Blocks(**sizes)
        self.conv = _convolution(channels, narrow=narrow)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C), same shape out."""
        y = self.residual_group.blocks(x).permute(0, 3, 1, 2)
        return x + self.conv(y).permute(0, 2, 3, 1)


def _convolution(channels: int, *, narrow: bool) -> nn.Module:
    if not narrow:
        return nn.Conv2d(channels, channels, 3, padding=1)
    few = channels // 4
    first, last = nn.Conv2d(channels, few, 3, padding=1), nn.Conv2d(few, channels, 3, padding=1)
    return nn.Sequential(first, nn.LeakyReLU(0.2), nn.Conv2d(few, few, 1), nn.LeakyReLU(0.2), last)


class _Embedding(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)


class SwinIr(SingleFrame):
    """Groups of attention blocks between two convolutions, then one of four ways to enlarge."""

    def __init__(
        self, *, groups: int, narrow: bool, tail: Tail, wide: int, scale: int, colors: int, **sizes: int
    ):
        super().__init__()
        channels = sizes["channels"]
        self.scale, self.window, self._tail = scale, sizes["window"], tail
        self.conv_first = nn.Conv2d(colors, channels, 3, padding=1)
        self.patch_embed = _Embedding(channels)
        self.layers = nn.Sequential(*(_Group(narrow=narrow, **sizes) for _ in range(groups)))
        self.norm = nn.LayerNorm(channels)
        self.conv_after_body = _convolution(channels, narrow=narrow)
        if tail == "pixelshuffledirect":
            self.upsample = nn.Sequential(
                nn.Conv2d(channels, colors * scale**2, 3, padding=1), nn.PixelShuffle(scale)
            )
        elif tail:
            self.conv_before_upsample = nn.Sequential(nn.Conv2d(channels, wide, 3, padding=1), nn.LeakyReLU())
        if tail == "pixelshuffle":
            self.upsample = upsampler(wide, scale)
        elif tail == "nearest+conv":
            self._doublings = ["conv_up1", "conv_up2"][: int(math.log2(scale))]
            for name in (*self._doublings, "conv_hr"):
                self.add_module(name, nn.Conv2d(wide, wide, 3, padding=1))
        if tail != "pixelshuffledirect":
            self.conv_last = nn.Conv2d(wide if tail else channels, colors, 3, padding=1)
        self.register_buffer("mean", div2k_mean(colors), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), sides multiples of `window` → (B, C, scale*H, scale*W)."""
        mean = self.get_buffer("mean")
        x = x - mean
        head = self.conv_first(x)
        y = self.norm(self.layers(self.patch_embed.norm(head.permute(0, 2, 3, 1))))
        deep = self.conv_after_body(y.permute(0, 3, 1, 2)) + head
        return (self._enlarged(deep) if self._tail else x + self.conv_last(deep)) + mean

    def _enlarged(self, x: Tensor) -> Tensor:
        if self._tail == "pixelshuffledirect":
            return self.upsample(x)
        x = self.conv_before_upsample(x)
        if self._tail == "pixelshuffle":
            return self.conv_last(self.upsample(x))
        for name in self._doublings:
            x = F.leaky_relu(self.get_submodule(name)(F.interpolate(x, scale_factor=2, mode="nearest")), 0.2)
        return self.conv_last(F.leaky_relu(self.get_submodule("conv_hr")(x), 0.2))


def swinir_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without what is computed from the size at hand."""
    return {key: value for key, value in state.items() if not key.endswith(_BUFFERS)}


def swinir_parameters(state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Infer `SwinIr`'s arguments from its tensors; None where they are not a `SwinIr`'s."""
    block = "layers.0.residual_group.blocks.0"
    table, mlp = state.get(f"{block}.attn.relative_position_bias_table"), state.get(f"{block}.mlp.fc1.weight")
    if table is None or mlp is None or table.ndim != 2 or not is_kernel(state, "conv_first.weight"):
        return None
    channels, colors = state["conv_first.weight"].shape[:2]
    before = state.get("conv_before_upsample.0.weight")
    tail, scale = _tail_of(state, colors)
    return {
        "channels": channels,
        "heads": table.shape[1],
        "window": (math.isqrt(table.shape[0]) + 1) // 2,
        "hidden": mlp.shape[0],
        "depth": blocks_of(state, "layers.0.residual_group.blocks."),
        "groups": blocks_of(state, "layers."),
        "narrow": "conv_after_body.0.weight" in state,
        "wide": channels if before is None else before.shape[0],
        "tail": tail,
        "scale": scale,
        "colors": colors,
    }


def _tail_of(state: dict[str, Tensor], colors: int) -> tuple[Tail, int]:
    if "conv_up1.weight" in state:
        return "nearest+conv", 4 if "conv_up2.weight" in state else 2
    if is_kernel(state, "conv_before_upsample.0.weight"):
        return "pixelshuffle", upsampler_scale(state, "upsample.")
    if is_kernel(state, "upsample.0.weight"):
        return "pixelshuffledirect", math.isqrt(state["upsample.0.weight"].shape[0] // max(1, colors))
    return "", 1


def swinir_facts(network: nn.Module, colors: int) -> dict[str, Any]:
    """Cost, and whole windows; attention and its moving windows make the reach that of the whole picture."""
    assert isinstance(network, SwinIr)
    facts = facts_of(network, colors=colors) | {"halo": None, "size_multiple": network.window}
    return facts | {"dtypes": ("fp32", "fp16")}
