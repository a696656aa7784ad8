"""ONNX Runtime on its CPU provider."""

from importlib import import_module

import torch
from torch import Tensor

from vsr.bench.peers.exported import Exported, Run


def run_by_onnxruntime(exported: Exported, precision: str, threads: int) -> Run:
    """Make a session whose every call counts in the thread that calls."""
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(str(exported.onnx), options, providers=["CPUExecutionProvider"])

    def run(picture: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["y"], {"x": picture.numpy()})[0])

    return run
