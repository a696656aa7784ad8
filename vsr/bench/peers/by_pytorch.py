"""Plain PyTorch: the network as it stands, rows of pixels plane by plane, nothing fused."""

import copy

import torch
from torch import Tensor

from vsr.bench.peers.exported import Exported, Run
from vsr.engine import cpu_threads


def run_by_pytorch(exported: Exported, precision: str, threads: int) -> Run:
    """Make it ready; each thread that calls it counts on itself alone."""
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    network = copy.deepcopy(exported.network).to(dtype)

    @torch.no_grad()  # not inference mode, which our layers take for leave to fuse
    def run(picture: Tensor) -> Tensor:
        with cpu_threads(1):
            return network(picture.to(dtype)).float()

    return run
