"""Preparing a network of our own for int8: how large its activations get on real pictures."""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vsr.errors import ConfigError, SourceError
from vsr.models import PlainNet, PlanesNet, calibrate_int8, read_model, save_network, sees_neighbours
from vsr.quality import DAMAGE_TABLE
from vsr.training.data.batches import as_tensor
from vsr.training.data.examples import example
from vsr.training.data.footage import Footage, find_pictures, read_picture
from vsr.training.options import TrainOptions
from vsr.training.validation import damaged_planes

_MOST = 64
"""Pictures looked at, spread over all there are."""

_EDGE = 256
"""Of the part of each that is looked at, from its middle."""


def calibrate_checkpoint(path: Path, folders: tuple[str, ...]) -> None:
    """Measure the activations of a plain network or one on planes on pictures and write them into its checkpoint.

    Args:
        path: .safetensors of the network; is replaced, the weights stay as they are.
        folders: pictures of the kind that the network is made for; good ones for a network on planes, which sees them
            damaged by the rows of `DAMAGE_TABLE` in turn, or as clips that are made worse as in training.

    Raises:
        ConfigError: the network is of another kind, or the file of another format.
        ModelError: the checkpoint cannot be read.
        SourceError: there are no pictures.
    """
    if path.suffix != ".safetensors":
        raise ConfigError(f"{path.name} would have to be written anew; a .safetensors file is accepted")
    model = read_model(path)
    network = model.network
    if not isinstance(network, PlainNet | PlanesNet):
        raise ConfigError(
            f"{path.name} is no plain network and none on planes of vsr's own, which alone run in int8"
        )
    if not (pictures := find_pictures(folders)):
        raise SourceError("there is nothing to calibrate with; name a folder of pictures with --data")
    some = pictures[:: -(-len(pictures) // _MOST)]
    if sees_neighbours(model):
        seen = _in_motion(some)
    elif isinstance(network, PlanesNet):
        seen = _as_planes(some)
    else:
        seen = _as_tensors(some, model.spec.in_channels)
    calibrate_int8(network, seen)
    save_network(path, network)


def _as_tensors(pictures: list[Path], colors: int) -> Iterator[Tensor]:
    for path in pictures:
        yield as_tensor(_middle(path, _EDGE), colors)


def _as_planes(pictures: list[Path]) -> Iterator[Tensor]:
    for path, row in zip(pictures, cycle(DAMAGE_TABLE), strict=False):
        yield damaged_planes(_middle(path, _EDGE * row.scale)[0], row).low[:, 0]


def _in_motion(pictures: list[Path]) -> Iterator[Tensor]:
    """Clips made of them, as such a network learns from them."""
    options = TrainOptions(
        out=".safetensors", network="planes-over-time", degradation="real", patch=_EDGE // 8
    )
    stills = [read_picture(path) for path in pictures]
    for index, still in enumerate(stills):
        low = example(still, stills, options, np.random.default_rng(index)).low
        low = low[:, : low.shape[1] // 2 * 2, : low.shape[2] // 2 * 2]
        if low.size:
            yield torch.from_numpy(low.astype(np.float32)).permute(0, 3, 1, 2)


def _middle(path: Path, edge: int) -> Footage:
    picture = read_picture(path)
    top, left = (max(0, (side - edge) // 2) for side in picture.shape[1:3])
    return picture[:, top : top + edge, left : left + edge]
