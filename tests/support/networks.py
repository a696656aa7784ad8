"""Networks of few weights."""

import torch

from vsr.models.networks.plain import PlainNet


def tiny(scale: int, seed: int = 0, **options: int) -> PlainNet:
    torch.manual_seed(seed)
    net = PlainNet(channels=4, depth=1, scale=scale, **options)
    torch.nn.init.normal_(net.tail.weight, std=0.1)
    return net.eval()
