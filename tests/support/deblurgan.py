"""A narrow DeblurGAN-v2, and how its authors save it."""

import functools

import torch
from support.published import filled
from torch import Tensor

from vsr.models.networks.deblurgan import DeblurGan


@functools.cache
def weights(depths: tuple[int, int] | None) -> dict[str, Tensor]:
    """Of a narrow network, such that every layer changes what comes out."""
    shapes = DeblurGan(depths=depths, wide=8, channels=4).state_dict()
    keys = {key: {"shape": list(value.shape), "filled": value.ndim > 0} for key, value in shapes.items()}
    return filled({"keys": keys, "gain": 1.4})


def as_published(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Wrapped as the authors' training does, the encoder twice, with parts that only classify."""
    more = {key: torch.zeros(2) for key in ("fpn.enc0.0.0.weight", "fpn.inception.last_linear.bias")}
    return {"model": {f"module.{key}": value for key, value in (tensors | more).items()}}
