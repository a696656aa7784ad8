"""Preparing a plain network for int8: how large its activations get on real pictures."""

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from vsr.errors import ConfigError, SourceError
from vsr.models import PlainNet, calibrate_int8, read_model, save_network
from vsr.training.data.batches import as_tensor
from vsr.training.data.footage import find_pictures, read_picture

_MOST = 64
"""Pictures looked at, spread over all there are."""

_EDGE = 256
"""Of the part of each that is looked at, from its middle."""


def calibrate_checkpoint(path: Path, folders: tuple[str, ...]) -> None:
    """Measure the activations of a plain network on pictures and write them into its checkpoint.

    Args:
        path: .safetensors of a plain network; is replaced, the weights stay as they are.
        folders: pictures of the kind that the network is made for.

    Raises:
        ConfigError: the network is of another kind, or the file of another format.
        ModelError: the checkpoint cannot be read.
        SourceError: there are no pictures.
    """
    if path.suffix != ".safetensors":
        raise ConfigError(f"{path.name} would have to be written anew; a .safetensors file is accepted")
    model = read_model(path)
    network = model.network
    if not isinstance(network, PlainNet):
        raise ConfigError(f"{path.name} is not a plain network of vsr's own, which alone run in int8")
    if not (pictures := find_pictures(folders)):
        raise SourceError("there is nothing to calibrate with; name a folder of pictures with --data")
    calibrate_int8(network, _middles(pictures[:: -(-len(pictures) // _MOST)], model.spec.in_channels))
    save_network(path, network)


def _middles(pictures: list[Path], colors: int) -> Iterator[Tensor]:
    for path in pictures:
        picture = read_picture(path)
        top, left = (max(0, (side - _EDGE) // 2) for side in picture.shape[1:3])
        yield as_tensor(picture[:, top : top + _EDGE, left : left + _EDGE], colors)
