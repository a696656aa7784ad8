"""The training loop, in one place and in a straight line."""

import math
import time
from collections.abc import Callable, Iterable
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from vsr.engine import has_fast_bf16, pick_device
from vsr.models import PlainNet, PlanesNet, calibrate_int8, save_network
from vsr.training.batch import Batch
from vsr.training.critic import critic_loss
from vsr.training.data.batches import batches, find_data
from vsr.training.logbook import Logbook
from vsr.training.losses import weigh
from vsr.training.networks import predict
from vsr.training.options import TrainOptions
from vsr.training.processes import process_group
from vsr.training.training_run import Rival, TrainingRun, begin
from vsr.training.validation import Trial, trials, validate

REPORT_EVERY = 500
"""Steps between reports."""


@dataclass(frozen=True)
class TrainingProgress:
    """What the loop tells while it runs."""

    step: int
    steps: int
    loss: float
    """Weighted sum of the losses, mean since the last report."""
    steps_per_s: float
    parts: dict[str, float]
    """The same of each loss by name, unweighted; `critic` is what the critic learns from."""
    psnr: float | None = None
    """dB on the pictures of `options.validate`, when they were last looked at."""


def learning_rate(step: int, options: TrainOptions) -> float:
    """Linear warm-up, then half a cosine down to nothing."""
    if step < options.warmup:
        return options.learning_rate * (step + 1) / options.warmup
    done = (step - options.warmup) / max(1, options.steps - options.warmup)
    return options.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def train(options: TrainOptions, *, report: Callable[[TrainingProgress], None] = lambda _: None) -> Path:
    """Train a network, resuming where `NAME.state.pt` says, and write the averaged weights and `NAME.log/`.

    The result depends on the options, the pictures and the machine's arithmetic alone: a run that was killed
    and taken up again ends with the same weights. Where a launcher has started several processes they share
    each batch; the first alone writes and reports.

    Returns:
        The checkpoint's path.

    Raises:
        SourceError: nothing to learn from in the data folders.
        ModelError: there is nothing to start from in the model named, or the file named as VGG19 is another.
        ConfigError: the state that lies there belongs to another run, or the device is not there.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    out = Path(options.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    paths = find_data(options)
    with process_group(pick_device(options.device), options.batch) as ours:
        run = begin(options, paths, ours)
        first = run.resume(out.with_suffix(".state.pt"))
        examples = batches(paths, options, first=first, rank=ours.rank, world=ours.world)
        with (
            closing(examples),
            nullcontext() if ours.rank else Logbook(out.with_suffix(".log"), first=first) as book,
        ):
            _learn(run, zip(range(first, options.steps), examples, strict=False), options, book, report)
    return out


def _learn(
    run: TrainingRun,
    examples: Iterable[tuple[int, Batch]],
    options: TrainOptions,
    book: Logbook | None,
    report: Callable[[TrainingProgress], None],
) -> None:
    """Take step after step; only the process that keeps the book writes and reports."""
    out, tests = Path(options.out), trials(options) if book else []
    totals: dict[str, Tensor] = {}
    seen: Tensor | None = None
    num_steps, since, saved, psnr = 0, time.monotonic(), time.monotonic(), None
    for step, batch in examples:
        losses = _step(run, batch.to(run.device), step, options)
        if book is None:
            continue
        seen, done, num_steps, now = batch.low, step + 1, num_steps + 1, time.monotonic()
        totals = {name: totals.get(name, 0) + loss for name, loss in losses.items()}
        if done % options.validate_every == 0 or done == options.steps:
            psnr = _look(run, tests, batch, book, done)
        if done % REPORT_EVERY == 0:
            parts = {name: total.item() / num_steps for name, total in totals.items()}
            speed = num_steps / (now - since)
            book.write(done, parts | {"learning_rate": learning_rate(step, options), "steps_per_s": speed})
            report(TrainingProgress(done, options.steps, parts.pop("loss"), speed, parts, psnr))
            totals, num_steps, since = {}, 0, now
        if now - saved > options.checkpoint_every_s:
            run.save(out.with_suffix(".state.pt"), done)
            _save(out, run.mean, seen)
            saved = now
    if book is not None:
        _save(out, run.mean, seen)
        run.save(out.with_suffix(".state.pt"), options.steps)


def _save(out: Path, mean: nn.Module, seen: Tensor | None) -> None:
    """Write the running mean, with the activations it has on the last batch where it can run in int8."""
    if isinstance(mean, PlainNet | PlanesNet) and seen is not None:
        calibrate_int8(mean, [seen[:, 0].to(mean.ranges.device)])
    save_network(out, mean)


def _step(run: TrainingRun, batch: Batch, step: int, options: TrainOptions) -> dict[str, Tensor]:
    """Learn from one batch; returns the losses by name."""
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate(step, options)
    fast = options.precision == "bf16" or (
        options.precision == "auto" and (batch.low.is_cuda or has_fast_bf16())
    )
    output, target = predict(run.learner, batch, bf16=fast)
    critic = run.rival.critic if run.rival else None
    loss, parts = weigh(output, target, options.losses, vgg=run.vgg, critic=critic)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(run.net.parameters(), options.clip)
    run.optimizer.step()
    # The running mean starts short, or the first weights would linger in it.
    _average(run.mean, run.net, min(options.ema, (1 + step) / (10 + step)))
    if run.rival:
        parts["critic"] = _teach(run.rival, output, target)
    return {"loss": loss.detach()} | parts


def _teach(rival: Rival, output: Tensor, target: Tensor) -> Tensor:
    """Let the critic learn from what the network made of the batch; returns its loss."""
    loss = critic_loss(rival.learner, output, target)
    rival.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    rival.optimizer.step()
    return loss.detach()


@torch.no_grad()
def _average(mean: nn.Module, net: nn.Module, decay: float) -> None:
    for averaged, current in zip(mean.parameters(), net.parameters(), strict=True):
        averaged.lerp_(current, 1 - decay)


def _look(run: TrainingRun, tests: list[Trial], batch: Batch, book: Logbook, step: int) -> float | None:
    """Try the running mean on the pictures kept for it, without any on the first patch; returns PSNR."""
    patch = Trial("patch", replace(batch, low=batch.low[:1], high=batch.high[:1]))
    scores, samples = validate(run.mean, tests or [patch], run.device)
    for name, picture in samples.items():
        book.show(step, name, picture)
    if not tests:
        return None
    book.write(step, scores)
    return scores["psnr"]
