"""Which reader a file of weights goes to, by its suffix."""

from pathlib import Path

from vsr.models.checkpoint import read_model
from vsr.models.spec import Model
from vsr.models.tensorflow import read_graph

SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors", ".pb")
"""Of files that hold a network."""


def read_file(path: Path, *, scale: int = 0) -> Model:
    """Read a network from any kind of file.

    Args:
        path: with one of `SUFFIXES`.
        scale: for files that do not tell theirs; 0 where none is wanted.

    Raises:
        ModelError: the file cannot be read, or its network is not known.
    """
    if path.suffix == ".pb":
        return read_graph(path)
    return read_model(path, scale=scale)
