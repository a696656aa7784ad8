"""A whole source and its result: measured, written, and summed up."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsr.errors import SourceError
from vsr.frames import StreamInfo
from vsr.models import Damage
from vsr.support.measuring import Asked, FrameSupport, Measuring, Pair
from vsr.support.reading_text import TextReader
from vsr.support.support_files import SupportFiles, SupportPaths
from vsr.support.support_report import Figures, Region, frame_figures, whole_report
from vsr.support.tables import Calibration


@dataclass(frozen=True, slots=True)
class SupportTask:
    """What is wanted of a source and its result."""

    paths: SupportPaths
    regions: Sequence[Region] = ()
    frames: int = 0
    """Frames that are looked at, spread over all; 0 for all."""
    over_time: bool = False
    """See what the frames before and after confirm, too."""
    text: bool = False
    """Read text in result and source, too; takes RapidOCR."""
    look: Callable[[FrameSupport], None] = lambda _: None
    """Sees each frame that was measured."""


def support_stream(
    pairs: Iterable[Pair],
    source: StreamInfo,
    task: SupportTask,
    calibration: Calibration,
    damage: Damage,
    asked: Asked | None = None,
) -> Figures:
    """Measure a stream, write what is wanted of it, and return the report.

    Args:
        pairs: frames of the source and of the result, in order.
        source: facts of the source.
        task: what is wanted.
        calibration: of the network that made the result.
        damage: of the source, as measured.
        asked: what networks make of the source shown otherwise.

    Raises:
        SourceError: there is no pair, or a result is no larger picture of its source.
        ConfigError: a region is not within the source.
        SinkError: a file cannot be written.
    """
    reader = TextReader() if task.text else None
    table = calibration.table_for(damage, "quick" if asked is None else "full")
    measuring = Measuring(table, damage, task.frames, source.num_frames or 0, asked, task.over_time)
    figures: list[Figures] = []
    reduction = ""
    with SupportFiles(task.paths, source) as files:
        for support in measuring.run(pairs):
            figures.append(frame_figures(support, task.regions))
            if reader is not None:
                figures[-1]["text"] = reader.invented(support.source, support.result)
            reduction = str(support.reduction)
            files.add(support)
            task.look(support)
        if not figures:
            raise SourceError(f"{Path(source.path).name} and its result have no frame in common")
        report = whole_report(calibration, table, damage, reduction, figures)
        files.finish(report)
    return report
