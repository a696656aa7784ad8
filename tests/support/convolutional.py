"""The field's convolutional networks, tiny."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from vsr.models.networks.edsr import EdsrNet
from vsr.models.networks.espcn import EspcnNet
from vsr.models.networks.fsrcnn import FsrcnnNet
from vsr.models.networks.rrdb import RrdbNet
from vsr.models.networks.span import SpanNet
from vsr.models.networks.srcnn_vdsr import SrcnnNet, VdsrNet
from vsr.models.networks.srresnet import SrResNet

TINY: dict[str, Callable[[], nn.Module]] = {
    "srcnn_x3": lambda: SrcnnNet(sides=(9, 1, 5), widths=(4, 3), scale=3, colors=1),
    "vdsr_x2": lambda: VdsrNet(channels=4, depth=2, scale=2, colors=1),
    "fsrcnn_x3": lambda: FsrcnnNet(wide=4, narrow=3, depth=2, scale=3, colors=1),
    "espcn": lambda: EspcnNet(sides=(5, 3, 3, 3), widths=(4, 4, 4), scale=3, colors=1, tanh=False),
    "edsr": lambda: EdsrNet(channels=4, depth=2, scale=2, colors=3),
    "edsr4": lambda: EdsrNet(channels=4, depth=1, scale=4, colors=3),
    "span": lambda: SpanNet(channels=4, narrow=3, scale=4, colors=3),
    "srresnet": lambda: SrResNet(channels=4, depth=2, scale=4, colors=3),
    "srresnet3": lambda: SrResNet(channels=4, depth=1, scale=3, colors=3),
    "esrgan": lambda: RrdbNet(channels=4, growth=2, depth=1, scale=4, num_doublings=2, colors=3),
    "x2plus": lambda: RrdbNet(channels=4, growth=2, depth=1, scale=2, num_doublings=2, colors=3),
}


def tensors_of(name: str) -> dict[str, Tensor]:
    torch.manual_seed(5)
    return TINY[name]().state_dict()


def unfolded() -> dict[str, Tensor]:
    """SPAN as it is trained, with what is left in `eval_conv` of an earlier step."""
    torch.manual_seed(6)
    channels = 4
    tensors = SpanNet(channels=channels, narrow=channels, scale=4, colors=3).state_dict()
    for head in [
        key.removesuffix(".eval_conv.weight") for key in tensors if key.endswith("eval_conv.weight")
    ]:
        colors = tensors[f"{head}.eval_conv.weight"].shape[1]
        shapes = {"sk": (channels, colors, 1), "conv.0": (2 * colors, colors, 1)}
        shapes |= {"conv.1": (2 * channels, 2 * colors, 3), "conv.2": (channels, 2 * channels, 1)}
        for name, (num_out, num_in, side) in shapes.items():
            tensors[f"{head}.{name}.weight"] = (
                torch.randn(num_out, num_in, side, side) / side / math.sqrt(num_in)
            )
            tensors[f"{head}.{name}.bias"] = torch.randn(num_out) / 9
    return tensors
