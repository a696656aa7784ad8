"""In which precision a network runs, and why: what was asked for, else what is fast here and keeps its quality.

Where bf16 is in the processor's matrix unit there is no doubt. Elsewhere bf16 may be twice as fast as fp32 or slower,
and bytes two to five times as fast, so that two frames decide, once for each machine and network. Bytes lose a little:
where bf16 is fast, too, they must be faster by far.
"""

import json
import os
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
from torch import nn

from vsr.durable import write_whole
from vsr.engine.device import (
    DTYPES,
    Placement,
    can_bf16,
    cpu_threads,
    has_amx,
    has_fast_bf16,
    move_network,
    pick_device,
    processor_name,
)
from vsr.errors import ConfigError, VsrError
from vsr.models import Model, has_int8
from vsr.options import EngineOptions

MOST_LOSS = 0.07
"""dB that int8 may cost where nobody has asked for it."""

WORTH_IT = 1.2
"""How much faster than fp32 a precision must be."""

WORTH_A_LOSS = 1.5
"""How much faster than a fast bf16 int8 must be."""

_SIZE = (192, 320)
"""Height, width of the two frames: a multiple of every network's size multiple, with all kernels of real ones."""


def place(options: EngineOptions, model: Model) -> Placement:
    """Choose device and precision for a network.

    Raises:
        ConfigError: the device is not there, or the network does not run in the precision asked for.
    """
    device = pick_device(options.device)
    if options.precision != "auto":
        _check(options.precision, device, model.spec.dtypes)
        return Placement(device, options.precision, "as asked")
    if device.type == "cuda" and "fp16" in model.spec.dtypes:
        return Placement(device, "fp16", "fastest on this GPU")
    precision, why = _fastest(model) if device.type == "cpu" else ("fp32", _NO_OTHER)
    return Placement(device, precision, why)


_NO_OTHER = "no faster precision here keeps the quality"


def _check(precision: str, device: torch.device, supported: tuple[str, ...]) -> None:
    if precision == "int8" and "int8" not in supported:
        raise ConfigError(
            "precision int8 is for calibrated networks of our own (vsr calibrate), and for files and single pictures "
            "for compact ones (SRVGGNetCompact), EDSR and SRResNet; fp32 suits every model"
        )
    if precision not in supported:
        raise ConfigError(f"precision {precision} does not suit this model; {', '.join(supported)} do")
    if precision == "int8" and not (device.type == "cpu" and has_int8()):
        others = ", ".join(name for name in supported if name != "int8")
        raise ConfigError(f"precision int8 needs an x86 processor with VNNI and device cpu; {others} go here")
    if precision == "bf16" and device.type == "cpu" and not can_bf16():
        raise ConfigError("precision bf16 does not run on this processor; auto and fp32 do")


def _fastest(model: Model) -> tuple[str, str]:
    """bf16 where the hardware is fast in it, int8 where it is faster by far and costs little, else fp32; and why."""
    dtypes, loss = model.spec.dtypes, model.spec.int8_loss
    knows_bf16 = "bf16" in dtypes
    if knows_bf16 and has_amx():
        return "bf16", "this processor multiplies bf16 in hardware"
    in_bf16 = speed_up(model, "bf16") if knows_bf16 and has_fast_bf16() else 0.0
    costs_little = loss is not None and loss <= MOST_LOSS
    in_int8 = speed_up(model, "int8") if "int8" in dtypes and has_int8() and costs_little else 0.0
    if in_bf16 >= WORTH_IT and in_int8 < WORTH_A_LOSS * in_bf16:
        return "bf16", f"{in_bf16:.1f} times as fast as fp32 here"
    if in_int8 < WORTH_IT:
        return "fp32", _NO_OTHER
    if in_bf16 >= WORTH_IT:
        other = f"{in_int8 / in_bf16:.1f} times as fast as bf16"
    else:
        other = "no fast bf16 here" if knows_bf16 else "bf16 would round what it gives"
    return "int8", f"{other}; {in_int8:.1f} times as fast as fp32, for {loss:.2f} dB"


def speed_up(model: Model, precision: str) -> float:
    """How many times as fast as in fp32 a network runs on one core here, by two frames; measured once and remembered.

    Args:
        model: on the CPU.
        precision: another than fp32 that the network and the processor support.
    """
    if not isinstance(model.network, nn.Module):
        return 1.0
    name = f"{model.spec.name} {model.spec.sha256[:16]} {precision}"
    machine = f"{processor_name()}, {os.environ.get('ONEDNN_MAX_CPU_ISA', 'all it has')}, PyTorch {torch.__version__}"
    known = _remembered().setdefault(machine, {})
    if name not in known:
        with cpu_threads(1):
            known[name] = round(_seconds_a_frame(model, "fp32") / _seconds_a_frame(model, precision), 2)
        with suppress(
            OSError, VsrError
        ):  # read-only, or another process writes it now: measured again next time
            _file().parent.mkdir(parents=True, exist_ok=True)
            write_whole(_file(), json.dumps(_remembered(), indent=1), synced=False)
    return known[name]


@torch.inference_mode()
def _seconds_a_frame(model: Model, precision: str) -> float:
    """Of this thread alone: other programs on the machine do not count."""
    assert isinstance(model.network, nn.Module)
    spec = model.spec
    network = move_network(model.network, Placement(torch.device("cpu"), precision, ""))
    frames = torch.rand(1, spec.context.num_frames, spec.in_channels, *_SIZE) * spec.value_range
    frames, reset = frames.to(DTYPES[precision]), torch.ones(1, dtype=torch.bool)
    state, seconds = network.init_state(1, *_SIZE), list[float]()
    for _ in range(3):  # the first one warms up
        began = time.thread_time()
        network.step(frames, state, reset)
        seconds.append(time.thread_time() - began)
    return max(1e-6, min(seconds[1:]))


@cache
def _remembered() -> dict[str, dict[str, float]]:
    """Gains by machine and network, as the file had them when this process first asked."""
    with suppress(OSError, ValueError, AttributeError):
        read = json.loads(_file().read_text(encoding="utf-8"))
        return {
            machine: {name: float(gain) for name, gain in known.items()} for machine, known in read.items()
        }
    return {}


def _file() -> Path:
    """`vsr/speeds.json` in the platform's folder for what may be deleted."""
    if place := os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA"):
        return Path(place) / "vsr" / "speeds.json"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "vsr" / "speeds.json"
