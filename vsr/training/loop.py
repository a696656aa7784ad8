"""The training loop, in one place and in a straight line. Minimal for now: luma, reduced pictures, Charbonnier."""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vsr.config import TrainOptions
from vsr.engine.device import has_fast_bf16
from vsr.errors import ConfigError, ModelError
from vsr.models.catalogue import load
from vsr.models.checkpoint import save_plain
from vsr.models.plain import PlainNet
from vsr.resample import enlarge
from vsr.training.data import find_pictures, load_pair, patches

REPORT_EVERY = 500
"""Steps between reports."""


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


@dataclass(frozen=True)
class _Run:
    """Everything that changes from step to step, and what it belongs to."""

    key: dict[str, object]
    """What must agree for a state to be taken up; the number of steps too, since the schedule hangs on it."""
    net: PlainNet
    mean: PlainNet
    """The running mean of the weights, which is what is published."""
    optimizer: torch.optim.Optimizer

    def save(self, path: Path, step: int) -> None:
        parts = {"net": self.net.state_dict(), "mean": self.mean.state_dict(), "optimizer": self.optimizer.state_dict()}
        partial = path.with_suffix(".partial")
        torch.save({"step": step, "key": self.key, **parts}, partial)
        partial.replace(path)

    def resume(self, path: Path) -> int:
        """Load the state if there is one; returns the step to go on with.

        Raises:
            ConfigError: the state belongs to a run with other options or pictures.
        """
        if not path.exists():
            return 0
        state = torch.load(path, weights_only=True)
        changed = [name for name, value in self.key.items() if state["key"].get(name) != value]
        if changed:
            raise ConfigError(
                f"{path} belongs to a run with other {', '.join(changed)}; remove it to begin anew, or name another out"
            )
        self.net.load_state_dict(state["net"])
        self.mean.load_state_dict(state["mean"])
        self.optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])


def _begin(options: TrainOptions, pictures: list[Path]) -> _Run:
    torch.manual_seed(options.seed)
    net, mean = (PlainNet(channels=options.channels, depth=options.depth, scale=options.scale) for _ in range(2))
    if options.start_from:
        _take_over(net, options.start_from)
    net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] — missing in torch's stubs
    mean.load_state_dict(net.state_dict())
    names = (
        "channels",
        "depth",
        "scale",
        "steps",
        "batch",
        "patch",
        "learning_rate",
        "warmup",
        "ema",
        "seed",
        "start_from",
    )
    key: dict[str, object] = {name: getattr(options, name) for name in names}
    key["data"] = hashlib.sha256("\n".join(path.name for path in pictures).encode()).hexdigest()
    return _Run(key, net, mean, torch.optim.Adam(net.parameters(), fused=True))


def _take_over(net: PlainNet, name: str) -> None:
    """Begin with another model's layers where their shapes agree.

    Raises:
        ModelError: the model is not known, or has no layer in common with this network.
    """
    theirs, ours = load(name).network, net.state_dict()
    tensors = theirs.state_dict() if isinstance(theirs, nn.Module) else {}
    shared = {key: value for key, value in tensors.items() if key in ours and value.shape == ours[key].shape}
    if not shared:
        raise ModelError(
            f"{name} has no layer in common with a network of {len(net.body) - 1} hidden layers; "
            "start from one of the same width"
        )
    net.load_state_dict(ours | shared)


def train(options: TrainOptions, *, report: Callable[[Progress], None] = lambda _: None) -> Path:
    """Train a `PlainNet`, resuming where `NAME.state.pt` says, and write the averaged weights.

    The result depends on the options, the pictures and the machine's arithmetic alone: a run that was killed
    and taken up again ends with the same weights.

    Returns:
        The checkpoint's path.

    Raises:
        SourceError: no usable picture in the data folders.
        ConfigError: the state that lies there belongs to another run.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    out = Path(options.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    state_path = out.with_suffix(".state.pt")
    pictures = find_pictures(options.data)
    run = _begin(options, pictures)
    first = run.resume(state_path)
    pairs = [load_pair(path, options.scale) for path in pictures]
    batches = patches(
        pairs, scale=options.scale, patch=options.patch, batch=options.batch, seed=options.seed, first=first
    )
    total, reported, since, saved = 0.0, first, time.monotonic(), time.monotonic()
    for step, (low, high) in zip(range(first, options.steps), batches, strict=False):
        total += _step(run, low, high, step, options)
        now = time.monotonic()
        if (step + 1) % REPORT_EVERY == 0:
            num_steps = step + 1 - reported  # fewer where a run was resumed
            report(Progress(step + 1, options.steps, total / num_steps, num_steps / (now - since)))
            total, reported, since = 0.0, step + 1, now
        if now - saved > options.checkpoint_every_s:
            run.save(state_path, step + 1)
            save_plain(out, run.mean)
            saved = now
    save_plain(out, run.mean)
    run.save(state_path, options.steps)
    return out


def _step(run: _Run, low: Tensor, high: Tensor, step: int, options: TrainOptions) -> float:
    """Learn from one batch; returns its loss."""
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate(step, options)
    with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bf16()):
        residual = run.net(low.contiguous(memory_format=torch.channels_last))
    loss = charbonnier(enlarge(low, options.scale) + residual.float(), high)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(run.net.parameters(), 1.0)
    run.optimizer.step()
    # The running mean starts short, or the first weights would linger in it.
    _average(run.mean, run.net, min(options.ema, (1 + step) / (10 + step)))
    return loss.item()


@torch.no_grad()
def _average(mean: nn.Module, net: nn.Module, decay: float) -> None:
    for averaged, current in zip(mean.parameters(), net.parameters(), strict=True):
        averaged.lerp_(current, 1 - decay)
