"""What a camera's outputs leave on the disk: the newest picture, the last seconds as HLS, recordings by day.

A name that a client says is looked for among those that are there, and never made a path of.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsr.live import OutputKind, OutputOptions

PLAYLIST = "live.m3u8"
_LIVE = re.compile(r"live(-init)?(-\d+)?\.(m3u8|mp4|m4s)")


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """A finished recording."""

    name: str
    bytes: int
    url: str


@dataclass(frozen=True, slots=True)
class RecordedDay:
    """A day of recordings."""

    day: str
    """As 2025-01-31, by the local time of the machine that recorded."""
    files: int
    url: str


class CameraFiles:
    """The files of one camera, or of one region of it.

    Args:
        name: under which it is shown.
        outputs: what writes them.
    """

    def __init__(self, name: str, outputs: Sequence[OutputOptions]):
        self._outputs = outputs
        self._recorded = re.compile(re.escape(name) + r"-(\d{8})-\d{6}(_\d+)?(-original)?\.mkv")

    def has(self, kind: OutputKind) -> bool:
        """Whether the camera has such an output."""
        return any(self._places(kind))

    def snapshot(self) -> Path | None:
        """The file with the newest picture, where there is one."""
        return next((path for path in self._places("snapshot") if path.is_file()), None)

    def live(self, name: str) -> Path | None:
        """The playlist, or a piece that it names."""
        return _named(name, (path for path in self._in("hls") if _LIVE.fullmatch(path.name)))

    def recording(self, day: str, name: str) -> Path | None:
        """A finished recording of a day by its name."""
        return _named(name, (path for path in self._recordings() if self._day(path) == day))

    def days(self, url: str) -> list[RecordedDay]:
        """Days with recordings, the newest first; `url` is that of them all."""
        counts = Counter(self._day(path) for path in self._recordings())
        return [RecordedDay(day, counts[day], f"{url}/{day}") for day in sorted(counts, reverse=True)]

    def of_day(self, day: str, url: str) -> list[RecordedFile]:
        """Recordings of a day in their order; `url` is that of the day."""
        paths = sorted(path for path in self._recordings() if self._day(path) == day)
        sizes = ((path, _size(path)) for path in paths)
        return [
            RecordedFile(path.name, size, f"{url}/{path.name}") for path, size in sizes if size is not None
        ]

    def _recordings(self) -> Iterator[Path]:
        return (path for path in self._in("record") if self._recorded.fullmatch(path.name))

    def _day(self, path: Path) -> str:
        match = self._recorded.fullmatch(path.name)
        assert match is not None
        return re.sub(r"(\d{4})(\d\d)(\d\d)", r"\1-\2-\3", match[1])

    def _places(self, kind: OutputKind) -> Iterator[Path]:
        return (Path(output.address.url) for output in self._outputs if output.kind == kind)

    def _in(self, kind: OutputKind) -> Iterator[Path]:
        return (path for folder in self._places(kind) if folder.is_dir() for path in folder.iterdir())


def _named(name: str, paths: Iterator[Path]) -> Path | None:
    return next((path for path in paths if path.name == name), None)


def _size(path: Path) -> int | None:
    """Bytes of a file; None where it has just been deleted."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
