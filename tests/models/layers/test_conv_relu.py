"""A convolution and its ReLU as one step."""

import pytest
import torch
from support.marks import needs_bf16
from torch import nn

from vsr.models.layers.conv_relu import conv_relu


def layer(dtype: torch.dtype, channels: int = 8) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(3, channels, 3, padding=1).to(dtype).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=needs_bf16)])
@pytest.mark.parametrize("size", [(1, 1), (5, 9), (40, 64)])
@torch.inference_mode()
def test_it_is_relu_of_the_convolution_bit_for_bit(dtype, size):
    convolution, x = layer(dtype), torch.randn(2, 3, *size).to(dtype)
    out = conv_relu(convolution, x)
    assert torch.equal(out, convolution(x).relu())
    assert 0 < (out == 0).float().mean() < 1


def test_gradients_still_flow():
    convolution, x = layer(torch.float32), torch.randn(1, 3, 6, 6, requires_grad=True)
    conv_relu(convolution, x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0
