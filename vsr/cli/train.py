"""`vsr train`: train a network of our own."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, default_name_transform

from vsr.cli.console import duration, say
from vsr.training import TrainingProgress, TrainOptions, rank, why_no_events
from vsr.training import train as run_training


def _flag(field: str) -> str:
    """The name of a field as a flag; `from` is a word of Python's own."""
    return "from" if field == "start_from" else default_name_transform(field)


def train_command(
    config: str = "",
    *,
    options: Annotated[TrainOptions, Parameter(name="*", name_transform=_flag)],
    quiet: bool = False,
    debug: bool = False,
) -> int:
    """Train a network on folders of pictures; a run that was stopped goes on where it was.

    Parameters
    ----------
    config
        TOML file of options, as configs/train-fast-x2.toml, named with or
        without --config; flags win over it.
    quiet
        Print errors only.
    debug
        Show a traceback with an error.
    """

    quiet = quiet or rank() > 0  # of several processes the first alone speaks

    def report(progress: TrainingProgress) -> None:
        left = (progress.steps - progress.step) / progress.steps_per_s
        more = ", ".join(f"{name} {value:.5f}" for name, value in progress.parts.items())
        parts = f" ({more})" if len(progress.parts) > 1 else ""
        psnr = "" if progress.psnr is None else f", {progress.psnr:.2f} dB"
        say(
            f"step {progress.step} of {progress.steps}, loss {progress.loss:.5f}{parts}{psnr}, "
            f"{progress.steps_per_s:.1f} steps/s, {duration(left)} left",
            quiet=quiet,
        )

    if missing := why_no_events():
        say(missing, quiet=quiet)
    path = run_training(options, report=report)
    say(f"{path}: {Path(path).stat().st_size} bytes", quiet=quiet)
    return 0
