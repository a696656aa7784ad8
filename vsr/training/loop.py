"""The training loop, in one place and in a straight line. Minimal for now: luma, reduced pictures, Charbonnier."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vsr.config import TrainOptions
from vsr.engine.device import has_fast_bf16
from vsr.models.checkpoint import save_plain
from vsr.models.plain import PlainNet
from vsr.resample import enlarge
from vsr.training.data import find_pictures, load_pair, patches


@dataclass(frozen=True)
class Progress:
    """What the loop tells while it runs."""

    step: int
    steps: int
    loss: float
    """Mean of the Charbonnier loss since the last report, of values 0–1."""
    steps_per_s: float


def charbonnier(a: Tensor, b: Tensor) -> Tensor:
    """Mean of sqrt(d² + ε²), a smooth L1 (Charbonnier et al., 1994)."""
    return ((a - b).square() + 1e-6).sqrt().mean()


def learning_rate(step: int, options: TrainOptions) -> float:
    """Linear warm-up, then half a cosine down to nothing."""
    if step < options.warmup:
        return options.learning_rate * (step + 1) / options.warmup
    done = (step - options.warmup) / max(1, options.steps - options.warmup)
    return options.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def train(options: TrainOptions, *, report: Callable[[Progress], None] = lambda _: None) -> Path:
    """Train a `PlainNet`, resuming where `NAME.state.pt` says, and write the averaged weights.

    The result depends on the options, the pictures and the machine's arithmetic alone: a run that was killed
    and taken up again ends with the same weights.

    Returns:
        The checkpoint's path.

    Raises:
        SourceError: no usable picture in the data folders.
    """
    torch.manual_seed(options.seed)
    if options.threads:
        torch.set_num_threads(options.threads)
    out = Path(options.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    state_path = out.with_suffix(".state.pt")
    pictures = find_pictures(options.data)
    pairs = [load_pair(path, options.scale) for path in pictures]

    net = PlainNet(channels=options.channels, depth=options.depth, scale=options.scale)
    net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] — missing in torch's stubs
    mean = PlainNet(channels=options.channels, depth=options.depth, scale=options.scale)
    mean.load_state_dict(net.state_dict())
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    first = _resume(state_path, options, net, mean, optimizer)
    bf16 = has_fast_bf16()

    batches = patches(
        pairs, scale=options.scale, patch=options.patch, batch=options.batch, seed=options.seed, first=first
    )
    total, reported, since, saved = 0.0, first, time.monotonic(), time.monotonic()
    for step in range(first, options.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, options)
        low, high = next(batches)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            residual = net(low.contiguous(memory_format=torch.channels_last))
        loss = charbonnier(enlarge(low, options.scale) + residual.float(), high)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        # The running mean starts short, or the first weights would linger in it.
        _average(mean, net, min(options.ema, (1 + step) / (10 + step)))
        total += loss.item()
        if (step + 1) % 500 == 0:
            now, num_steps = time.monotonic(), step + 1 - reported  # fewer than 500 where a run was resumed
            report(Progress(step + 1, options.steps, total / num_steps, num_steps / (now - since)))
            total, reported, since = 0.0, step + 1, now
        if time.monotonic() - saved > options.checkpoint_every_s:
            _save_state(state_path, step + 1, options, net, mean, optimizer)
            save_plain(out, mean)
            saved = time.monotonic()
    save_plain(out, mean)
    _save_state(state_path, options.steps, options, net, mean, optimizer)
    return out


@torch.no_grad()
def _average(mean: nn.Module, net: nn.Module, decay: float) -> None:
    for averaged, current in zip(mean.parameters(), net.parameters(), strict=True):
        averaged.lerp_(current, 1 - decay)


def _key(options: TrainOptions) -> dict[str, object]:
    """What must agree for a state to be taken up; the number of steps may not change the schedule in mid-run."""
    names = ("channels", "depth", "scale", "steps", "batch", "patch", "learning_rate", "warmup", "ema", "seed")
    return {name: getattr(options, name) for name in names}


def _save_state(
    path: Path, step: int, options: TrainOptions, net: nn.Module, mean: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    state = {"step": step, "options": _key(options), "net": net.state_dict(), "mean": mean.state_dict()}
    partial = path.with_suffix(".partial")
    torch.save(state | {"optimizer": optimizer.state_dict()}, partial)
    partial.replace(path)


def _resume(
    path: Path, options: TrainOptions, net: nn.Module, mean: nn.Module, optimizer: torch.optim.Optimizer
) -> int:
    """Load the state beside the checkpoint if it belongs to these options; returns the step to go on with."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    if state["options"] != _key(options):
        return 0
    net.load_state_dict(state["net"])
    mean.load_state_dict(state["mean"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
