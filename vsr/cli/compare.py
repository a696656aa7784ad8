"""`vsr compare`: two files side by side or wiped into one, with scores."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vsr.cli.console import progress, say
from vsr.config import EncodeOptions, EngineOptions, ReadOptions
from vsr.engine.engine import Engine
from vsr.errors import ConfigError, SinkError
from vsr.frames import Frame, StreamInfo
from vsr.jobs.inputs import CONTAINERS
from vsr.media.images import EXTENSIONS as PICTURES
from vsr.media.images import ImageSink, ImageSource, is_image
from vsr.media.sink import FileSink
from vsr.media.source import Source, VideoSource
from vsr.pipeline import Clock
from vsr.pipeline import enhance as run_pipeline
from vsr.quality.compare import compare as score
from vsr.quality.compare import compare_pictures
from vsr.quality.drawing import to_playable


def compare(
    a: Annotated[Path, Parameter(show_default=False)],
    b: Annotated[Path, Parameter(show_default=False)],
    /,
    *,
    out: Annotated[str, Parameter(name=["--out", "-o"])] = "",
    style: Literal["side-by-side", "wipe"] = "side-by-side",
    position: float = 0.5,
    at: str = "",
    overwrite: bool = False,
    quiet: bool = False,
    debug: bool = False,
) -> int:
    """Compare two videos or pictures: PSNR and SSIM where sizes fit, and a picture or clip of both.

    Parameters
    ----------
    a
        First file, usually the original.
    b
        Second file.
    out
        Picture (.png, ...) of one frame, or clip (.mp4, .mkv, ...) of all.
    style
        Next to each other, or one picture with a divider.
    position
        Place of the wipe's divider, 0 to 1.
    at
        Time of the frame for a picture; default: the first.
    overwrite
        Replace an output that exists.
    quiet
        Print errors only.
    debug
        Show a traceback with an error.
    """
    one_frame = Path(out).suffix.lower() in PICTURES
    if out and not one_frame and Path(out).suffix.lower() not in CONTAINERS:
        raise ConfigError(f"output {out}: {', '.join((*PICTURES, *CONTAINERS))} are written")
    if out and Path(out).exists() and not overwrite:
        raise SinkError(f"{out} exists; pass --overwrite to replace it")
    if not 0 <= position <= 1:
        raise ConfigError(f"position {position} is out of range; 0 to 1 is accepted")
    read = ReadOptions(start=at, frames=1) if one_frame else ReadOptions(start=at)
    source_a, source_b = _open(a, read), _open(b, read)
    if not quiet:
        _print_scores(source_a, source_b)
    if out:
        drawn = _Drawn(source_a, source_b, style, position, as_video=not one_frame)
        _write(drawn, Path(out), read, quiet=quiet)
        say(f"written: {out}", quiet=quiet)
    return 0


def _open(path: Path, read: ReadOptions) -> Source:
    return ImageSource(path) if is_image(path) else VideoSource(path, read)


def _print_scores(a: Source, b: Source) -> None:
    comparison = score(a, b)
    if comparison.scores:
        print(f"luma PSNR {comparison.psnr:.2f} dB, SSIM {comparison.ssim:.4f} over {len(comparison.scores)} frames")
    for note in comparison.notes:
        print(f"note: {note}")


class _Drawn:
    """The comparison as a source of frames."""

    def __init__(
        self, a: Source, b: Source, style: Literal["side-by-side", "wipe"], position: float, *, as_video: bool
    ):
        self._a, self._b, self._position, self._as_video = a, b, position, as_video
        self._style: Literal["side-by-side", "wipe"] = style
        with closing(self.frames()) as frames:
            self.info: StreamInfo = replace(a.info, format=next(frames).format)

    def frames(self) -> Generator[Frame, None, None]:
        """Yield the drawn pictures."""
        labels = (Path(self._a.info.path).name, Path(self._b.info.path).name)
        drawn = compare_pictures(self._a, self._b, style=self._style, position=self._position, labels=labels)
        with closing(drawn):
            for frame in drawn:
                yield to_playable(frame) if self._as_video else frame


def _write(drawn: _Drawn, out: Path, read: ReadOptions, *, quiet: bool) -> None:
    info, clock = drawn.info, Clock()
    if out.suffix.lower() in PICTURES:
        # A drawing carries the colours of the screen, not the camera's metadata.
        sink = ImageSink(out, source=replace(info, path=str(out), kind="image"))
    else:
        sink = FileSink(out, source=info, format=info.format, options=EncodeOptions(), trim=bool(read.start))
    with progress("compare", clock, info.num_frames, quiet=quiet):
        run_pipeline(drawn, Engine((), EngineOptions(device="cpu")), sink, clock=clock)
