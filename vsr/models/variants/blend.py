"""One network between two: the weights of a clean network and its `-real` fine-tune, or of that and one that paints,
mixed.

A fine-tune stays so near to where it began that every network on the straight line between the two works, and
does in part what the end of the line does (Wang et al., "Deep Network Interpolation for Continuous Imagery
Effect Transition", CVPR 2019).
"""

import copy
from dataclasses import replace

from torch import nn

from vsr.errors import ModelError
from vsr.models.spec import Model


def blend(first: Model, tuned: Model, share: float) -> Model:
    """Mix two networks of the same shape: `(1 - share) * first + share * tuned`, weight by weight.

    Args:
        first: gives the facts too.
        tuned: a fine-tune of it, which may lack parts for other scales.
        share: 0 to 1.

    Raises:
        ModelError: the networks are not of the same shape.
    """
    if share in (0, 1):
        return tuned if share else first
    assert isinstance(first.network, nn.Module)
    assert isinstance(tuned.network, nn.Module)
    ours, theirs = first.network.state_dict(), tuned.network.state_dict()
    shared = {key for key in ours.keys() | theirs.keys() if not key.startswith("tails.")} | theirs.keys()
    if any(key not in ours or key not in theirs or ours[key].shape != theirs[key].shape for key in shared):
        raise ModelError(
            f"{tuned.spec.name} has another shape than {first.spec.name} and cannot be mixed with it"
        )
    network = copy.deepcopy(first.network)
    network.load_state_dict(ours | {key: ours[key].lerp(theirs[key], share) for key in shared})
    spec = replace(
        first.spec,
        name=f"{first.spec.name} with {share:g} of {tuned.spec.name}",
        generative=first.spec.generative or tuned.spec.generative,
        sha256=f"{first.spec.sha256}+{tuned.spec.sha256}",
        trained_on=tuned.spec.trained_on,
        int8_loss=None,
    )
    return Model(spec, network)
