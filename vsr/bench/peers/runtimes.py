"""The runtimes that ours is held against."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from vsr.bench.peers.by_ncnn import run_by_ncnn
from vsr.bench.peers.by_onnxruntime import run_by_onnxruntime
from vsr.bench.peers.by_openvino import run_by_openvino
from vsr.bench.peers.by_pytorch import run_by_pytorch
from vsr.bench.peers.exported import Exported, Run


@dataclass(frozen=True, slots=True)
class Runtime:
    """Somebody else's way to run a network on a CPU."""

    name: str
    packages: tuple[str, ...]
    """Its own first, then what it is converted by."""
    precisions: tuple[str, ...]
    """Those that are a plain option of it."""
    prepare: Callable[[Exported, str, int], Run]
    """From a network, precision and the number of threads that will call at once."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Packages that are not installed."""
        return tuple(package for package in self.packages if not _version(package))

    @property
    def version(self) -> str:
        return _version(self.packages[0])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


RUNTIMES = (
    Runtime("PyTorch", ("torch",), ("fp32", "bf16"), run_by_pytorch),
    Runtime("ONNX Runtime", ("onnxruntime", "onnx"), ("fp32",), run_by_onnxruntime),
    Runtime("OpenVINO", ("openvino", "onnx"), ("fp32", "bf16"), run_by_openvino),
    Runtime("ncnn", ("ncnn", "pnnx", "onnx"), ("fp32", "bf16"), run_by_ncnn),
)
"""PyTorch in fp32 first: what every other result is compared with."""
