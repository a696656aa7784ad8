"""`vsr support`: how much of a result, whoever made it, its source supports."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vsr.cli.console import say, show
from vsr.cli.flags import Flat
from vsr.errors import ConfigError
from vsr.frames import Frame
from vsr.jobs import shown_damage
from vsr.media import ImageSource, Source, VideoSource, is_image
from vsr.models import Damage, load, with_damage
from vsr.options import EngineOptions, at_least
from vsr.quality import pairs
from vsr.support import (
    ANY,
    Doubters,
    Region,
    SupportPaths,
    SupportTask,
    calibration_of,
    sentences,
    support_stream,
)


@dataclass(frozen=True)
class SupportOptions:
    """What `vsr support` can be told."""

    out: Annotated[tuple[str, ...], Parameter(name=["--out", "-o"])] = ()
    """Files to write, by their endings: report.json (figures), map.png (the frame that is supported the least, with
    lines over it), map.mkv (gray, in the source's own grid)."""
    model: str = ""
    """Model that made the result, such as base-real-x2, whose calibration then holds; empty where it is not known."""
    full: bool = False
    """Ask the model again what it makes of the source turned, shifted and stored once more; takes --model."""
    over_time: bool = False
    """Let detail count that the frames before and after have measured, where things move by less than whole pixels."""
    text: bool = False
    """Read text in source and result, and list what is only read in the result; takes the extra `text`."""
    frames: int = 0
    """Look at so many frames, spread over all; 0 for all."""
    region: tuple[str, ...] = ()
    """Rectangles X,Y,WIDTH,HEIGHT in source pixels that get figures of their own."""
    overwrite: bool = False
    """Replace outputs that exist."""
    quiet: bool = False
    """Print errors only."""
    debug: bool = False
    """Show a traceback with an error."""

    def __post_init__(self) -> None:
        at_least(0, frames=self.frames)
        _ = self.task
        if self.full and not self.model:
            raise ConfigError("full asks the model again; name the one that made the result with --model")

    @property
    def task(self) -> SupportTask:
        """The same, told apart."""
        regions = [Region.parse(each) for each in self.region]
        return SupportTask(SupportPaths.of(self.out), regions, self.frames, self.over_time, self.text)


def support_command(
    source: Annotated[Path, Parameter(show_default=False)],
    result: Annotated[Path, Parameter(show_default=False)],
    /,
    *,
    options: Annotated[SupportOptions, Flat] = SupportOptions(),
    engine: Annotated[EngineOptions, Flat] = EngineOptions(),
) -> int:
    """Say how much of a result, made by whatever program, its source supports.

    Parameters
    ----------
    source
        The original video or picture.
    result
        What was made of it: all of it, at the same size or larger.
    """
    task = options.task
    task.paths.check(overwrite=options.overwrite)
    a, b = _open(source), _open(result)
    damage = shown_damage(a.info)
    calibration = calibration_of(options.model or ANY)
    asked = _doubters(options.model, damage, engine).disagreement if options.full else None
    with closing(_both(a, b)) as both:
        report = support_stream(both, a.info, task, calibration, damage, asked)
    if not options.quiet:
        for line in sentences(report):
            show(line)
    for path in task.paths.all:
        say(f"written: {path}", quiet=options.quiet)
    return 0


def _open(path: Path) -> Source:
    return ImageSource(path) if is_image(path) else VideoSource(path)


def _both(a: Source, b: Source) -> Generator[tuple[Frame, Frame], None, None]:
    with closing(pairs(a, b)) as both:
        for one, other in both:
            if one is not None and other is not None:
                yield one, other


def _doubters(model: str, damage: Damage, engine: EngineOptions) -> Doubters:
    return Doubters([with_damage(load(model), damage)], engine, compression=damage.compression)
