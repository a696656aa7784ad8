"""`vsr compare`: two files side by side or wiped into one, with scores."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vsr.cli.console import say, show
from vsr.cli.flags import Flat
from vsr.cli.progress_view import progress
from vsr.engine import Engine
from vsr.errors import ConfigError, SinkError
from vsr.frames import Frame, StreamInfo
from vsr.media import CONTAINERS, PICTURES, FileSink, ImageSink, ImageSource, Source, VideoSource, is_image
from vsr.options import EncodeOptions, EngineOptions, ReadOptions
from vsr.pipeline import Clock
from vsr.pipeline import enhance as run_pipeline
from vsr.quality import compare_pictures, compare_streams, to_playable


@dataclass(frozen=True)
class CompareOptions:
    """What `vsr compare` can be told."""

    out: Annotated[str, Parameter(name=["--out", "-o"])] = ""
    """Picture (.png, ...) of one frame, or clip (.mp4, .mkv, ...) of all."""
    style: Literal["side-by-side", "wipe"] = "side-by-side"
    """Next to each other, or one picture with a divider."""
    position: float = 0.5
    """Place of the wipe's divider, 0 to 1."""
    at: str = ""
    """Time of the frame for a picture, or of the clip's first; empty for the beginning."""
    overwrite: bool = False
    """Replace an output that exists."""
    quiet: bool = False
    """Print errors only."""
    debug: bool = False
    """Show a traceback with an error."""

    def __post_init__(self) -> None:
        if self.out and Path(self.out).suffix.lower() not in (*PICTURES, *CONTAINERS):
            raise ConfigError(f"output {self.out}: {', '.join((*PICTURES, *CONTAINERS))} are written")
        if not 0 <= self.position <= 1:
            raise ConfigError(f"position {self.position} is out of range; 0 to 1 is accepted")

    @property
    def one_frame(self) -> bool:
        """The output is a picture."""
        return Path(self.out).suffix.lower() in PICTURES


def compare_command(
    a: Annotated[Path, Parameter(show_default=False)],
    b: Annotated[Path, Parameter(show_default=False)],
    /,
    *,
    options: Annotated[CompareOptions, Flat] = CompareOptions(),
) -> int:
    """Compare two videos or pictures: PSNR and SSIM where sizes fit, and a picture or clip of both.

    Parameters
    ----------
    a
        First file, usually the original.
    b
        Second file.
    """
    if options.out and Path(options.out).exists() and not options.overwrite:
        raise SinkError(f"{options.out} exists; pass --overwrite to replace it")
    read = ReadOptions(start=options.at, frames=1 if options.one_frame else 0)
    source_a, source_b = _open(a, read), _open(b, read)
    if not options.quiet:
        _print_scores(source_a, source_b)
    if options.out:
        _write(_Drawn(source_a, source_b, options), options)
        say(f"written: {options.out}", quiet=options.quiet)
    return 0


def _open(path: Path, read: ReadOptions) -> Source:
    return ImageSource(path) if is_image(path) else VideoSource(path, read)


def _print_scores(a: Source, b: Source) -> None:
    comparison = compare_streams(a, b)
    if comparison.scores:
        scores = f"luma PSNR {comparison.psnr:.2f} dB, SSIM {comparison.ssim:.4f}"
        show(f"{scores} over {len(comparison.scores)} frames")
    for note in comparison.notes:
        show(f"note: {note}")


class _Drawn:
    """The comparison as a source of frames."""

    def __init__(self, a: Source, b: Source, options: CompareOptions):
        self._a, self._b, self._options = a, b, options
        with closing(self.frames()) as frames:
            self.info: StreamInfo = replace(a.info, format=next(frames).format)

    def frames(self) -> Generator[Frame, None, None]:
        """Yield the drawn pictures."""
        labels = (Path(self._a.info.path).name, Path(self._b.info.path).name)
        style, position = self._options.style, self._options.position
        drawn = compare_pictures(self._a, self._b, style=style, position=position, labels=labels)
        with closing(drawn):
            for frame in islice(drawn, 1 if self._options.one_frame else None):
                yield frame if self._options.one_frame else to_playable(frame)


def _write(drawn: _Drawn, options: CompareOptions) -> None:
    info, out, clock = drawn.info, Path(options.out), Clock()
    if options.one_frame:
        # A drawing carries the colours of the screen, not the camera's metadata.
        sink = ImageSink(out, source=replace(info, path=options.out, kind="image", num_frames=1))
    else:
        sink = FileSink(out, source=info, format=info.format, options=EncodeOptions(), trim=bool(options.at))
    with progress("compare", clock, info.num_frames, quiet=options.quiet):
        run_pipeline(drawn, Engine((), EngineOptions(device="cpu")), sink, clock=clock)
