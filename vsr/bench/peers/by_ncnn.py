"""ncnn on the CPU, its files converted by pnnx."""

import subprocess
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

from vsr.bench.peers.exported import Exported, Run
from vsr.errors import VsrError
from vsr.offspring import plain_environment


def run_by_ncnn(exported: Exported, precision: str, threads: int) -> Run:
    """Load it; each call is an extractor of one thread.

    Raises:
        VsrError: pnnx cannot convert it.
    """
    ncnn = import_module("ncnn")
    net, converted = ncnn.Net(), _converted(exported)
    net.opt.num_threads = 1
    net.opt.use_vulkan_compute = False
    # What it would choose by itself stores halves; fp32 is asked for.
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = net.opt.use_bf16_packed = precision == "bf16"
    net.load_param(str(converted.with_suffix(".param")))
    net.load_model(str(converted.with_suffix(".bin")))

    def run(picture: Tensor) -> Tensor:
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(picture[0].numpy()))
        code, given = extractor.extract("out0")
        if code != 0:
            raise VsrError(f"ncnn ended with code {code}")
        return torch.from_numpy(given.numpy().copy())[None]

    return run


def _converted(exported: Exported) -> Path:
    """`network.ncnn.param` and `.bin`, by either's name."""
    shape = ",".join(map(str, exported.size))
    command = [import_module("pnnx").EXEC_PATH, exported.onnx.name, f"inputshape=[{shape}]", "fp16=0"]
    result = exported.folder / "network.ncnn.param"
    if not result.exists():
        done = subprocess.run(
            command,
            cwd=exported.folder,
            env=plain_environment(),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0 or not result.exists():
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise VsrError(f"pnnx ended with code {done.returncode}: {' '.join(last) or 'it said nothing'}")
    return result
