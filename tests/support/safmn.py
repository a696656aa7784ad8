"""A tiny SAFMN."""

import torch
from torch import Tensor

from vsr.models.networks.safmn import SafmnNet


def tensors_of(kind: str) -> dict[str, Tensor]:
    torch.manual_seed(3)
    net = SafmnNet(kind=kind, channels=8, hidden=12, depth=2, scale=2, colors=3)  # type: ignore[arg-type]
    for parameter in net.parameters():
        if parameter.ndim == 1 or parameter.shape[0] == 1:
            torch.nn.init.normal_(parameter, 0.5, 0.5)
    return net.state_dict()
