"""One network between two: the weights of a clean network and its `-real` fine-tune, mixed.

A fine-tune stays so near to where it began that every network on the straight line between the two works, and
does in part what the end of the line does (Wang et al., "Deep Network Interpolation for Continuous Imagery
Effect Transition", CVPR 2019).
"""

import copy
from dataclasses import replace

from torch import nn

from vsr.errors import ModelError
from vsr.models.spec import Model


def blend(clean: Model, real: Model, share: float) -> Model:
    """Mix two networks of the same shape: `(1 - share) * clean + share * real`, weight by weight.

    Args:
        clean: gives the facts too.
        real: a fine-tune of `clean`.
        share: 0 to 1.

    Raises:
        ModelError: the networks are not of the same shape.
    """
    if share in (0, 1):
        return real if share else clean
    assert isinstance(clean.network, nn.Module)
    assert isinstance(real.network, nn.Module)
    ours, theirs = clean.network.state_dict(), real.network.state_dict()
    if {key: value.shape for key, value in ours.items()} != {
        key: value.shape for key, value in theirs.items()
    }:
        raise ModelError(
            f"{real.spec.name} has another shape than {clean.spec.name} and cannot be mixed with it"
        )
    network = copy.deepcopy(clean.network)
    network.load_state_dict({key: value.lerp(theirs[key], share) for key, value in ours.items()})
    spec = replace(
        clean.spec,
        name=f"{clean.spec.name} with {share:g} of {real.spec.name}",
        sha256=f"{clean.spec.sha256}+{real.spec.sha256}",
        trained_on=real.spec.trained_on,
    )
    return Model(spec, network)
