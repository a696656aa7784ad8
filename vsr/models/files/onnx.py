"""ONNX files through onnxruntime (extra `onnx`): scale, colours, window and
size multiple are found from the graph.

Taken are graphs of one input and one output: (B, C, H, W) with one or three colours, neighbouring frames side
by side in the channels, or (B, T, C, H, W). Values are 0 to 1, frames in time's order with the one to enhance
in the middle. onnxruntime works on the CPU here, wherever the engine keeps its tensors.
"""

import importlib
import importlib.util
import math
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vsr.durable import sha256_of
from vsr.errors import ModelError, one_line
from vsr.models.files.onnx_check import check_onnx
from vsr.models.spec import Context, Model, ModelSpec, State

_WINDOW = 5
"""Frames for a graph that takes any number."""

_MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
"""Tried in turn."""


class OnnxNet:
    """A graph as a network; each number of threads has a session of its own."""

    def __init__(self, path: Path):
        self._path, self._lock = path, threading.Lock()
        self._sessions: dict[int, Any] = {}
        session = self._session(1)
        (self._given,), (self._made,) = session.get_inputs(), session.get_outputs()
        self._half = self._given.type == "tensor(float16)"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (
            self._path,
        )  # sessions cannot be sent to another process, which must see the file itself

    @property
    def shape(self) -> list[int | str | None]:
        """Of the input; text and None stand for any size."""
        return list(self._given.shape)

    def run(self, x: Tensor) -> Tensor:
        """What the graph makes of one input, as float32 on the CPU."""
        values = x.to("cpu", torch.float16 if self._half else torch.float32).contiguous().numpy()
        (out,) = self._session(torch.get_num_threads()).run([self._made.name], {self._given.name: values})
        return torch.from_numpy(np.asarray(out, np.float32))

    def init_state(self, batch: int, height: int, width: int) -> None:
        """No state."""
        return

    def step(self, frames: Tensor, state: State | None, reset: Tensor) -> tuple[Tensor, None]:
        """Enhance the middle frame of each window."""
        given = frames if len(self.shape) == 5 else frames.flatten(1, 2)
        batches = given.split(1) if isinstance(self.shape[0], int) else (given,)
        out = torch.cat([self.run(batch) for batch in batches])
        out = out[:, out.shape[1] // 2] if out.ndim == 5 else out
        return out[:, None].to(frames), None

    def _session(self, threads: int) -> Any:
        with self._lock:
            if threads not in self._sessions:
                os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it would call home, and leave files
                runtime = importlib.import_module("onnxruntime")
                options = runtime.SessionOptions()
                options.intra_op_num_threads = threads
                options.log_severity_level = 4  # what it has to say is in its errors
                self._sessions[threads] = runtime.InferenceSession(
                    str(self._path), options, providers=["CPUExecutionProvider"]
                )
            return self._sessions[threads]


def read_onnx(path: Path) -> Model:
    """Read an ONNX file.

    Raises:
        ModelError: onnxruntime is missing, the file cannot be read or would harm, or
            its graph is no enhancer of pictures.
    """
    if not path.is_file():
        raise ModelError(f"{path} does not exist; an .onnx file is expected")
    if not importlib.util.find_spec("onnxruntime"):
        raise ModelError(f"{path.name} needs onnxruntime (pip install 'vsr[onnx]')")
    kernels = check_onnx(path)
    try:
        network = OnnxNet(path)
    except Exception as error:  # onnxruntime's own types are many and derive from nothing in common
        raise ModelError(f"{path.name} cannot be read as ONNX: {one_line(error)}") from None
    window, colors = _seen(network.shape, path)
    multiple, scale = _tried(network, window, colors, path)
    return Model(
        ModelSpec(
            name=path.stem,
            scale=scale,
            in_channels=1 if colors == 1 else 3,
            context=Context(before=window // 2, after=window // 2),
            halo=None,
            size_multiple=multiple,
            dtypes=("fp32",),
            kflop_per_pixel=2 * kernels / 1000,  # where all are applied at input size
            sha256=sha256_of(path),
            network="ONNX graph",
        ),
        network,
    )


def _seen(shape: list[int | str | None], path: Path) -> tuple[int, int]:
    """Frames and colours that a graph looks at."""
    channels = shape[-3] if len(shape) in (4, 5) else None
    fixed = [side for side in shape[-2:] if isinstance(side, int)]
    if fixed:
        raise ModelError(
            f"{path.name} takes pictures of {fixed} pixels alone; export it with dynamic height and width"
        )
    frames = shape[1] if len(shape) == 5 else 1
    if len(shape) == 4 and isinstance(channels, int) and channels not in (1, 3):
        frames, channels = (channels // 3, 3) if channels % 3 == 0 else (channels, 1)
    if not isinstance(frames, int):
        frames = _WINDOW
    if channels not in (1, 3) or frames % 2 == 0:
        raise ModelError(
            f"{path.name} takes {shape}; (B, C, H, W) or (B, T, C, H, W), T odd, C 1 or 3, is expected"
        )
    return frames, int(channels)


def _tried(network: OnnxNet, window: int, colors: int, path: Path) -> tuple[int, int]:
    """The smallest multiple that sizes must have, and the scale, by running it on something small."""
    reason = ""
    for multiple in _MULTIPLES:
        side = multiple * math.ceil(21 / multiple)
        side += multiple * (side // multiple % 2 == 0)  # odd times the multiple
        try:
            out, _ = network.step(
                torch.zeros(1, window, colors, side, side), None, torch.ones(1, dtype=torch.bool)
            )
        except Exception as error:
            reason = one_line(error)
            continue
        scale = out.shape[-1] // side
        if out.shape == (1, 1, colors, scale * side, scale * side) and scale:
            return multiple, scale
        reason = f"{tuple(out.shape[2:])} comes of {colors} colours of {side}x{side}"
    raise ModelError(f"{path.name} enlarges by no whole factor: {reason}")
