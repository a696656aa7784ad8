"""Which reader a file of weights goes to."""

from pathlib import Path

from vsr.errors import ModelError
from vsr.models.files.checkpoint import UnknownLayoutError, read_model
from vsr.models.files.diffusion import read_pipeline
from vsr.models.files.onnx import read_onnx
from vsr.models.files.opencv_graph import read_graph
from vsr.models.files.spandrel import has_spandrel, read_with_spandrel
from vsr.models.files.trial import try_out
from vsr.models.spec import Model

SUFFIXES = (".pth", ".pt", ".ckpt", ".h5", ".tar", ".safetensors", ".pb", ".onnx")
"""Of files that hold a network; DeblurGAN-v2's are PyTorch's under `.h5`,
some of SRGAN's under `.pth.tar`."""


def read_file(path: Path, *, scale: int = 0) -> Model:
    """Read a network from any kind of file or folder, of whatever origin; spandrel is asked for layouts that we do
    not know.

    Args:
        path: with one of `SUFFIXES`, or the folder of a diffusion pipeline.
        scale: for files that do not tell theirs; 0 where none is wanted.

    Raises:
        ModelError: the file cannot be read, or its network is not known.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ModelError(f"{path} is a pipe or device; a file of weights is expected")
    try_out(read_known_file, path)
    return read_known_file(path, scale=scale)


def read_known_file(path: Path, *, scale: int = 0) -> Model:
    """The same for a file whose contents are known by their hash, which is read without a trial."""
    if path.is_dir():
        return read_pipeline(path)
    if path.suffix == ".pb":
        return read_graph(path)
    if path.suffix == ".onnx":
        return read_onnx(path)
    try:
        return read_model(path, scale=scale)
    except UnknownLayoutError as error:
        if not has_spandrel():
            raise UnknownLayoutError(f"{error}; with spandrel (pip install 'vsr[zoo]') more") from None
    return read_with_spandrel(path)
