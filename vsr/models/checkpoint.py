"""Reading and writing checkpoints: safetensors, or `.pth` read without executing anything in it."""

import torch
from pathlib import Path
from safetensors.torch import save_file
from vsr.models.plain import PlainNet


def save_plain(path: Path, net: PlainNet) -> None:
    partial = path.with_suffix(".partial")
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, partial, metadata={"architecture": "plain"})
    partial.replace(path)
