"""The training loop, in one place and in a straight line."""

import hashlib
import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vsr.config import TrainOptions
from vsr.engine.device import has_fast_bf16, pick_device
from vsr.errors import ConfigError
from vsr.models.checkpoint import save_network
from vsr.models.plain import PlainNet
from vsr.models.recurrent import RecurrentNet
from vsr.models.unet import UNet
from vsr.resample import enlarge
from vsr.training.data import batches, find_data
from vsr.training.transfer import take_over

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


Trained = PlainNet | RecurrentNet | UNet
"""The networks that can be trained."""


def build(options: TrainOptions) -> Trained:
    """Make the network that is to be trained, with fresh weights."""
    if options.network == "unet":
        return UNet(channels=options.channels, colors=options.colors)
    network = {"plain": PlainNet, "recurrent": RecurrentNet}[options.network]
    return network(channels=options.channels, depth=options.depth, scale=options.scale, colors=options.colors)


class Unrolled(nn.Module):
    """A network over a whole training clip: what `step` gives for it, frame after frame where there is a memory."""

    def __init__(self, net: Trained):
        super().__init__()
        self.net = net

    def forward(self, low: Tensor) -> Tensor:
        """(B, T, C, h, w) → the residual (B, T, C, scale*h, scale*w), of the middle frame alone without a memory."""
        b, num_frames, _, height, width = low.shape
        reset = torch.zeros(b, dtype=torch.bool, device=low.device)
        state = self.net.init_state(b, height, width)
        if state is None:
            return self.net.step(low, None, reset)[0]
        outputs: list[Tensor] = []
        for t in range(num_frames):
            window = low[:, [max(t - 1, 0), t, min(t + 1, num_frames - 1)]]
            output, state = self.net.step(window, state, reset)
            outputs.append(output)
        return torch.cat(outputs, 1)


@dataclass(frozen=True)
class _Run:
    """Everything that changes from step to step, and what it belongs to."""

    key: dict[str, object]
    """What must agree for a state to be taken up; the number of steps too, since the schedule hangs on it."""
    net: Trained
    mean: Trained
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


_MAY_CHANGE = {"out", "device", "threads", "checkpoint_every_s"}
"""Options that may differ when a run is taken up again."""


def _begin(options: TrainOptions, paths: list[Path], device: torch.device) -> _Run:
    torch.manual_seed(options.seed)
    net, mean = build(options), build(options)
    if options.start_from:
        take_over(net, options.start_from, seed=options.seed)
    mean.load_state_dict(net.state_dict())
    net.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] — missing in torch's stubs
    mean.to(device)
    key: dict[str, object] = {name: value for name, value in asdict(options).items() if name not in _MAY_CHANGE}
    key["data"] = hashlib.sha256("\n".join(path.name for path in paths).encode()).hexdigest()
    return _Run(key, net, mean, torch.optim.Adam(net.parameters(), fused=True))


def train(options: TrainOptions, *, report: Callable[[Progress], None] = lambda _: None) -> Path:
    """Train a network, resuming where `NAME.state.pt` says, and write the averaged weights.

    The result depends on the options, the pictures and the machine's arithmetic alone: a run that was killed
    and taken up again ends with the same weights.

    Returns:
        The checkpoint's path.

    Raises:
        SourceError: nothing to learn from in the data folders.
        ModelError: there is nothing to start from in the model named.
        ConfigError: the state that lies there belongs to another run, or the device is not there.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    out = Path(options.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    state_path = out.with_suffix(".state.pt")
    paths, device = find_data(options), pick_device(options.device)
    run = _begin(options, paths, device)
    first = run.resume(state_path)
    total, reported, since, saved = 0.0, first, time.monotonic(), time.monotonic()
    with closing(batches(paths, options, first=first)) as examples:
        for step, (low, high) in zip(range(first, options.steps), examples, strict=False):
            total += _step(run, low.to(device), high.to(device), step, options)
            now = time.monotonic()
            if (step + 1) % REPORT_EVERY == 0:
                num_steps = step + 1 - reported  # fewer where a run was resumed
                report(Progress(step + 1, options.steps, total / num_steps, num_steps / (now - since)))
                total, reported, since = 0.0, step + 1, now
            if now - saved > options.checkpoint_every_s:
                run.save(state_path, step + 1)
                save_network(out, run.mean)
                saved = now
    save_network(out, run.mean)
    run.save(state_path, options.steps)
    return out


def _step(run: _Run, low: Tensor, high: Tensor, step: int, options: TrainOptions) -> float:
    """Learn from one batch, (B, T, C, h, w) and its twin; returns its loss."""
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate(step, options)
    bf16 = low.is_cuda or has_fast_bf16()
    with torch.autocast(low.device.type, torch.bfloat16, enabled=bf16):
        residual = Unrolled(run.net)(low).float()
    num_given, middle = residual.shape[1], low.shape[1] // 2
    seen = slice(None) if num_given == low.shape[1] else slice(middle, middle + 1)
    base = enlarge(low[:, seen].flatten(0, 1), options.scale).unflatten(0, (-1, num_given))
    loss = charbonnier(base + residual, high[:, seen])
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
