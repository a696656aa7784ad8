"""OpenVINO on its CPU plugin."""

import threading
from importlib import import_module

import torch
from torch import Tensor

from vsr.bench.peers.exported import Exported, Run


def run_by_openvino(exported: Exported, precision: str, threads: int) -> Run:
    """Compile it for as many streams of one thread as there are threads; each that calls has a request of its own."""
    hint = {"fp32": "f32", "bf16": "bf16"}[
        precision
    ]  # its own choice would be bf16 where the hardware has that
    compiled = (
        import_module("openvino")
        .Core()
        .compile_model(
            str(exported.onnx),
            "CPU",
            {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": threads},
        )
    )
    own = threading.local()

    def run(picture: Tensor) -> Tensor:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        return torch.from_numpy(own.request.infer([picture.numpy()])[0])

    return run
