"""Networks of others in eight-bit integers, by what they make of pictures at hand.

Their files say nothing of how large activations get. So ranges are measured on a few pictures of the very source, and
what they cost is found by reducing those pictures and enlarging them both ways.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.models.networks.compact import CompactNet
from vsr.models.networks.edsr import EdsrNet
from vsr.models.networks.srresnet import SrResNet
from vsr.models.spec import Model
from vsr.models.variants.int8_compact import Int8Compact, compact_ranges, fits_tables
from vsr.models.variants.int8_residual import Int8Residual, steps_seen
from vsr.resample import resize


def can_be_measured(model: Model) -> bool:
    """Whether `measured` knows such networks."""
    network = model.network
    return isinstance(network, EdsrNet | SrResNet) or (
        isinstance(network, CompactNet) and fits_tables(network)
    )


@torch.inference_mode()
def measured(model: Model, pictures: Sequence[Tensor]) -> Model:
    """The same model, able to run in int8, and knowing what that costs on these pictures.

    Args:
        model: one that `can_be_measured`.
        pictures: (1, C, H, W), nominal, of the source; some ten thousand pixels suffice.
    """
    network = copy.deepcopy(model.network)
    if isinstance(network, CompactNet):
        network.ranges = compact_ranges(network, pictures)
    else:
        assert isinstance(network, EdsrNet | SrResNet)
        network.seen = steps_seen(network, pictures)
    in_int8 = measured_in_int8(network)
    assert in_int8 is not None
    loss = _error(model, in_int8, pictures) / _error(model, network, pictures)
    costs = max(0.0, 10 * float(torch.log10(loss)))
    return Model(replace(model.spec, dtypes=(*model.spec.dtypes, "int8"), int8_loss=costs), network)


def measured_in_int8(network: nn.Module) -> nn.Module | None:
    """A measured network in integers; None of others."""
    if isinstance(network, CompactNet) and network.ranges:
        return Int8Compact(network).eval()
    if isinstance(network, EdsrNet | SrResNet) and network.seen:
        return Int8Residual(network).eval()
    return None


def _error(model: Model, network: nn.Module, pictures: Sequence[Tensor]) -> Tensor:
    """Squared error of pictures that were reduced and enlarged."""
    scale, total = model.spec.scale, torch.zeros(())
    for each in pictures:
        height, width = (side // scale for side in each.shape[2:])
        whole = each[..., : height * scale, : width * scale]
        small = resize(whole, (height, width)).clamp(0, 1)
        large = network(small)
        if model.spec.residual == "nearest":
            large = large + F.interpolate(small, scale_factor=scale)
        total += (large.clamp(0, 1) - whole).square().sum()
    return total.clamp(min=1e-9)
