"""Beginning with what another network knows: the same layers, or a wider
network that starts as the same function."""

import torch
from torch import Tensor, nn

from vsr.errors import ModelError
from vsr.models import RecurrentNet, UNet, load
from vsr.training.networks import Trained

_LUMA = torch.tensor([0.299, 0.587, 0.114])


def take_over(net: Trained, name: str, *, seed: int) -> None:
    """Begin with another model's layers.

    Layers of the same shape are copied. A stack of as many layers that is narrower, or sees luma where this
    one sees RGB, or one frame where this one sees three, is grown: units are doubled and their outgoing
    weights shared out unevenly, so that the wider network begins as the same function and its twins part ways
    (Chen, Goodfellow, Shlens, "Net2Net", 2016). A narrower U-Net is widened by units that nobody listens to yet, which
    begins as the same function, too. A tail of another scale begins anew.

    Args:
        net: changed in place.
        name: catalogue name or checkpoint.
        seed: for which units are doubled.

    Raises:
        ModelError: the model is not known, or has nothing that this network could use.
    """
    model = load(name, scale=net.scale)
    theirs = model.network.state_dict() if isinstance(model.network, nn.Module) else {}
    theirs = {key.removeprefix("network."): value for key, value in theirs.items()}  # of one with a memory
    ours = net.state_dict()
    shared = {key: value for key, value in theirs.items() if key in ours and value.shape == ours[key].shape}
    if "head.weight" in theirs and _sees_more(ours.get("head.weight"), theirs["head.weight"]):
        head = torch.zeros_like(ours["head.weight"])
        head[:, : theirs["head.weight"].shape[1]] = theirs["head.weight"]
        shared["head.weight"] = head
    if "body.1.weight" not in shared and _is_narrower(theirs, ours):
        shared = _grow(theirs, ours, torch.Generator().manual_seed(seed))
    if isinstance(net, UNet) and theirs.keys() == ours.keys() and "head.weight" not in shared:
        shared = {key: _widened(theirs[key], ours[key], transposed="grow" in key) for key in ours}
    if not any(key.endswith(".weight") for key in shared):
        raise ModelError(
            f"{name} has no layer in common with this network; start from one of the same or less width"
        )
    net.load_state_dict(ours | shared)


def _sees_more(ours: Tensor | None, theirs: Tensor) -> bool:
    """Whether a head is of the same width and has all channels of the other, and more."""
    return ours is not None and ours.shape[0] == theirs.shape[0] and ours.shape[1] > theirs.shape[1]


def _is_narrower(theirs: dict[str, Tensor], ours: dict[str, Tensor]) -> bool:
    """Whether both are stacks of as many layers, theirs of fewer channels on luma, ours on luma or RGB."""
    if "body.1.weight" not in theirs or {k for k in theirs if "body" in k} != {
        k for k in ours if "body" in k
    }:
        return False
    planes = ours["body.0.weight"].shape[1]
    one_color = planes in (1, 3) or planes - len(ours["tail.bias"]) == RecurrentNet.num_frames
    luma = theirs["body.0.weight"].shape[1] == 1
    return len(theirs["body.0.bias"]) < len(ours["body.0.bias"]) and luma and one_color


def _grow(
    theirs: dict[str, Tensor], ours: dict[str, Tensor], generator: torch.Generator
) -> dict[str, Tensor]:
    """`theirs` as the first units of a stack shaped as `ours`."""
    narrow, wide = len(theirs["body.0.bias"]), len(ours["body.0.bias"])
    depth = sum(key.startswith("body.") and key.endswith(".weight") for key in theirs)
    origin = torch.cat([torch.arange(narrow), torch.randint(narrow, (wide - narrow,), generator=generator)])
    grown: dict[str, Tensor] = {}
    for layer in range(depth):
        key = f"body.{layer}"
        # Every layer doubles the same units, so only what they give on must be shared out.
        weight = theirs[f"{key}.weight"][origin]
        inside = _head(weight, ours[f"{key}.weight"]) if layer == 0 else _share(weight, origin, generator)
        grown |= {f"{key}.weight": inside, f"{key}.bias": theirs[f"{key}.bias"][origin]}
    return grown | _tail(theirs, ours, origin, generator)


def _widened(theirs: Tensor, ours: Tensor, *, transposed: bool) -> Tensor:
    """`theirs` among new units: those begin as `ours` are, and what is known takes nothing from them yet."""
    weight, sizes = ours.clone(), theirs.shape[:2]
    if theirs.ndim == 1:
        weight[: sizes[0]] = theirs
    elif transposed:
        weight[:, : sizes[1]] = 0
        weight[: sizes[0], : sizes[1]] = theirs
    else:
        weight[: sizes[0]] = 0
        weight[: sizes[0], : sizes[1]] = theirs
    return weight


def _share(weight: Tensor, origin: Tensor, generator: torch.Generator) -> Tensor:
    """Let each of the wide network's units take an uneven share of what its original gave on."""
    shares = torch.rand(weight.shape[0], len(origin), generator=generator) + 0.25
    totals = torch.zeros(weight.shape[0], weight.shape[1]).index_add_(1, origin, shares)
    return weight[:, origin] * (shares / totals[:, origin])[:, :, None, None]


def _head(weight: Tensor, ours: Tensor) -> Tensor:
    """One luma plane in: as the luma of RGB, or as the frame itself among all else that is seen."""
    head = torch.zeros_like(ours)
    if ours.shape[1] == 3:
        return weight * _LUMA.view(1, 3, 1, 1)
    head[:, :1] = weight
    return head


def _tail(
    theirs: dict[str, Tensor], ours: dict[str, Tensor], origin: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """The same residual for every colour; rows that theirs does not have stay as they are."""
    weight, bias, known = ours["tail.weight"].clone(), ours["tail.bias"].clone(), theirs["tail.weight"]
    colors = ours["body.0.weight"].shape[1] if ours["body.0.weight"].shape[1] == 3 else 1
    rows = len(known) * colors
    fits = len(weight) == rows or len(weight) - len(origin) == rows  # the recurrent tail gives its memory too
    if not fits:
        return {}
    weight[:rows] = _share(known.repeat(colors, 1, 1, 1), origin, generator)
    bias[:rows] = theirs["tail.bias"].repeat(colors)
    return {"tail.weight": weight, "tail.bias": bias}
