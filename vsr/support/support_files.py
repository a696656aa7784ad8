"""What is written of a measured stream: figures as JSON, a gray video, a picture with lines over it."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from vsr.durable import real_path, write_whole
from vsr.errors import ConfigError, SinkError
from vsr.frames import Frame, StreamInfo
from vsr.media import CONTAINERS, PICTURES, FileSink, ImageSink
from vsr.options import EncodeOptions
from vsr.quality import as_frame, to_playable, to_rgb
from vsr.support.measuring import FrameSupport
from vsr.support.overlay import gray_map, hatched
from vsr.support.support_report import Figures

REPORT = ".json"

ACCEPTED = (REPORT, *PICTURES, *CONTAINERS)


@dataclass(frozen=True, slots=True)
class SupportPaths:
    """Where support is written, by the endings of names."""

    report: Path | None = None
    picture: Path | None = None
    """Of the frame that is supported the least, with lines over it."""
    video: Path | None = None
    """Gray, in the source's own grid."""

    @classmethod
    def of(cls, names: Sequence[str]) -> "SupportPaths":
        """Tell them apart.

        Raises:
            ConfigError: an ending is not known, or there are two of a kind.
        """
        found: dict[str, Path] = {}
        for name in names:
            ending = Path(f"_{Path(name).name}").suffix.lower()  # `.json` is one, too
            kind = "report" if ending == REPORT else "picture" if ending in PICTURES else "video"
            if ending not in ACCEPTED:
                raise ConfigError(f"support {name}: {', '.join(ACCEPTED)} are written")
            if kind in found:
                raise ConfigError(
                    f"support: {found[kind]} and {name} are both a {kind}; one of each is written"
                )
            found[kind] = Path(name)
        return cls(**found)

    @property
    def all(self) -> list[Path]:
        """Those that are wanted."""
        return [path for path in (self.report, self.picture, self.video) if path is not None]

    def check(self, *, overwrite: bool, to_be: Path | None = None) -> None:
        """Raises SinkError: a file is there already, or cannot be written; the folder `to_be` will be there."""
        for path in self.all:
            if path.parent != to_be and not real_path(path).parent.is_dir():
                raise SinkError(f"{path} cannot be written; name a file in a folder that exists")
            if path.exists() and not overwrite:
                raise SinkError(f"{path} exists; pass --overwrite to replace it")


class SupportFiles:
    """Writes the files as frames are measured. Left with an exception, it leaves none of them."""

    def __init__(self, paths: SupportPaths, source: StreamInfo):
        self._paths, self._source = paths, source
        self._open = ExitStack()
        self._video: FileSink | None = None
        self._least: tuple[float, Frame] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.__exit__(*error)  # type: ignore[arg-type]

    def add(self, support: FrameSupport) -> None:
        """Take a measured frame."""
        if self._paths.video is not None:
            self._add_to_video(self._paths.video, gray_map(support))
        if self._paths.picture is not None:
            level = float(np.mean(support.steps))
            if self._least is None or level < self._least[0]:
                self._least = level, hatched(support)

    def _add_to_video(self, path: Path, drawn: Frame) -> None:
        playable = to_playable(as_frame(to_rgb(drawn)))
        frame = replace(drawn, planes=playable.planes, format=playable.format)
        if self._video is None:
            # As a picture has them: no sound and no subtitles to be taken along.
            alone = replace(self._source, kind="image", format=frame.format, pictures=())
            sink = FileSink(path, source=alone, format=frame.format, options=EncodeOptions(quality=100))
            self._video = self._open.enter_context(sink)
        self._video.write(frame)

    def finish(self, report: Figures) -> None:
        """Write what is written at the end."""
        self._open.close()
        if self._paths.picture is not None and self._least is not None:
            path = self._paths.picture
            info = replace(
                self._source,
                path=str(path),
                kind="image",
                num_frames=1,
                metadata={},
                format=self._least[1].format,
            )
            with ImageSink(path, source=info, replace=True) as sink:
                sink.write(self._least[1])
        if self._paths.report is not None:
            write_whole(self._paths.report, figures_text(report))


def figures_text(report: Figures) -> bytes:
    """A report as it is written."""
    return (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode()
