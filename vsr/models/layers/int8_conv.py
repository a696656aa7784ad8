"""A convolution in eight-bit integers, as oneDNN computes it and PyTorch carries it.

Weights are symmetric, one scale for each output channel; what comes in is unsigned bytes of one scale and zero;
products are summed exactly in 32 bits. Neither a compiler nor another runtime is needed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import cv2
import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = 255
"""Of a byte, above 0."""

_SAMPLE = 29
"""Every so-manyth activation is looked at when ranges are chosen; prime, so
that no column is always missed."""


class Steps(NamedTuple):
    """What bytes stand for: value = step * (byte - zero)."""

    step: float
    zero: int

    def bytes_of(self, x: Tensor) -> Tensor:
        """float32 as the nearest bytes, uint8 in channels_last.

        In one pass by OpenCV: 0.6 ms for 64 channels of 160x90 where three of PyTorch's took 1.8.
        """
        by_pixel = x.detach().permute(0, 2, 3, 1)
        lies_so = by_pixel.is_contiguous()
        values = (by_pixel if lies_so else x.detach().contiguous()).reshape(1, -1).numpy()
        nearest = cast(Any, cv2.addWeighted(values, 1 / self.step, values, 0, self.zero, dtype=cv2.CV_8U))
        if lies_so:
            return torch.from_numpy(nearest).view(by_pixel.shape).permute(0, 3, 1, 2)
        return torch.from_numpy(nearest).view(x.shape).contiguous(memory_format=torch.channels_last)


def steps_between(low: float, high: float) -> Steps:
    """Bytes for values from `low`, 0 or less, to `high`."""
    step = max(high - low, 1e-6) / LEVELS
    return Steps(step, round(-low / step))


def sampled(x: Tensor) -> Tensor:
    """A copy of as many values as suffice for choosing a range."""
    return x.flatten()[::_SAMPLE].clone()


@torch.no_grad()
def best_range(values: Tensor) -> Tensor:
    """(low, high) that 255 steps between render `values` with the least squared error; low is 0 or less."""
    low, high = values.min().clamp(max=0), values.max().clamp(min=1e-6)
    shares = torch.linspace(0.3, 1, 29, device=values.device)
    return torch.stack([low, high]) * min(shares, key=lambda share: _error(values, low * share, high * share))


def _error(values: Tensor, low: Tensor, high: Tensor) -> float:
    step = (high - low) / LEVELS
    zero = (-low / step).round()
    rendered = ((values / step).round() + zero).clamp(0, LEVELS) - zero
    return float(F.mse_loss(rendered * step, values))


@dataclass(frozen=True, slots=True)
class Int8Conv:
    """A convolution's weights as oneDNN wants them."""

    weight: Tensor
    """int8, packed."""
    scales: Tensor
    zeros: Tensor
    bias: Tensor
    seen: Steps
    """Of what comes in."""
    stride: int
    padding: int

    def to_bytes(self, x: Tensor, step: float) -> Tensor:
        """Bytes → bytes in steps of `step` after ReLU."""
        return self._convolve(x, step, torch.uint8, "relu")

    def to_codes(self, x: Tensor) -> Tensor:
        """Bytes → the nearest bytes of the sums themselves."""
        return self._convolve(x, 1.0, torch.uint8, "none")

    def giving(self, steps: "Steps | tuple[Tensor, Tensor]") -> "Int8Conv":
        """The same, with `to_codes` giving bytes of such steps, or of (step, zero) of each channel."""
        step, zero = steps
        return replace(self, scales=self.scales / step, bias=self.bias / step + zero)

    def to_float(self, x: Tensor) -> Tensor:
        """Bytes → float32."""
        return self._convolve(x, 1.0, torch.float32, "none")

    def add_to(self, sums: Tensor, x: Tensor) -> Tensor:
        """Add what becomes of bytes to float32 in channels_last, in place."""
        given, shape = self._given(x), self._shape()
        return torch.ops.onednn.qconv2d_pointwise.binary(
            *given, sums, self.bias, *shape, 1.0, 0, torch.float32, 1.0, 0, "sum", 1.0, None, [], None
        )

    def _convolve(self, x: Tensor, step: float, dtype: torch.dtype, after: str) -> Tensor:
        given, shape = self._given(x), self._shape()
        return torch.ops.onednn.qconv2d_pointwise(*given, self.bias, *shape, step, 0, dtype, after, [], "")

    def _given(self, x: Tensor) -> tuple[Tensor | float, ...]:
        return x, *self.seen, self.weight, self.scales, self.zeros

    def _shape(self) -> tuple[list[int] | int, ...]:
        """Stride, padding, dilation, groups."""
        return [self.stride] * 2, [self.padding] * 2, [1, 1], 1


def in_integers(convolution: nn.Module, seen: Steps) -> Int8Conv:
    """The same convolution of bytes of such steps."""
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    assert isinstance(convolution.padding, tuple)
    weight = convolution.weight.detach().float()
    scales = weight.abs().amax((1, 2, 3)).clamp(min=1e-12) / 127
    integers = (weight / scales[:, None, None, None]).round().to(torch.int8)
    stride, padding = convolution.stride[0], convolution.padding[0]
    packed = torch.ops.onednn.qconv_prepack(integers, scales, *seen, [stride] * 2, [padding] * 2, [1, 1], 1)
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    return Int8Conv(packed, scales, zeros, convolution.bias.detach().float(), seen, stride, padding)


def in_bytes(convolution: nn.Conv2d) -> Callable[[Tensor], Tensor]:
    """One convolution and its ReLU, uint8 to uint8 in steps of 1/255, channels_last."""
    layer = in_integers(convolution, Steps(1 / LEVELS, 0))
    return lambda x: layer.to_bytes(x, 1 / LEVELS)
