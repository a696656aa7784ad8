"""On what and by what a result was made, as far as it may change a bit of it."""

import os
import platform
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av import library_versions

from vsr import __version__
from vsr.engine import num_cores
from vsr.media import ffmpeg_version, find_ffmpeg

_TELLING = (
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
    "sha_ni",
    "asimd",
    "bf16",
)
"""Features of processors by which PyTorch and FFmpeg choose how they calculate."""


def software_facts() -> dict[str, str]:
    """The programs and libraries that have a part in a result."""
    libraries = {name: ".".join(map(str, version)) for name, version in sorted(library_versions.items())}
    return {
        "vsr": __version__,
        "PyTorch": torch.__version__,
        "PyAV": av.__version__,
        "libraries of PyAV": ", ".join(f"{name} {version}" for name, version in libraries.items()),
        "FFmpeg": ffmpeg_version(find_ffmpeg()),
        "NumPy": np.__version__,
        "Python": platform.python_version(),
        "system": platform.platform(),
    }


def processor_facts() -> dict[str, Any]:
    """What calculates: equal facts give equal bits, as far as is known."""
    told = _cpuinfo()
    flags = set((told.get("flags") or told.get("Features") or "").split())
    facts: dict[str, Any] = {
        "processor": told.get("model name") or platform.processor() or platform.machine(),
        "features": [name for name in _TELLING if name in flags],
        "PyTorch uses": torch.backends.cpu.get_cpu_capability(),
        "limited to": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
        "cores": num_cores(),
    }
    if torch.cuda.is_available():
        facts["GPU"] = torch.cuda.get_device_name()
    return facts


def _cpuinfo() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}
