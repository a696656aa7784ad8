"""A few seconds of what a plan would give, beside the same of the source: before the whole file is begun."""

from dataclasses import dataclass, replace
from pathlib import Path

from vsr.autocrop import crop
from vsr.engine import Engine
from vsr.errors import SourceError
from vsr.frames import Frame, StreamInfo
from vsr.jobs.assemble import make_engine, make_sink, open_source, pipeline_options
from vsr.jobs.inputs import Job
from vsr.jobs.plan import Plan, make_plan
from vsr.media import ImageSink, ListSource, MemorySink
from vsr.options import AlsoOptions, EncodeOptions, EngineOptions, EnhanceOptions, JobOptions, ModelOptions
from vsr.pipeline import enhance
from vsr.prefetch import closed_after
from vsr.quality import as_frame, to_rgb

_PLAYABLE = EncodeOptions(encoder="x264", quality=85, bit_depth=8, chroma="420", container="mp4")
"""What every browser plays."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What is looked at."""

    at_s: float = 0.0
    """Seconds since the beginning; the picture that is shown then."""
    seconds: float = 3.0
    """Length of the clips around it; 0 for the picture alone."""


def preview_file(
    path: Path, options: EnhanceOptions, moment: Moment, folder: Path, *, is_image: bool
) -> None:
    """Write `before.png` and `after.png` of a moment, and then `before.mp4` and `after.mp4` around it, into a folder.

    Each file is there whole or not at all. Pictures are 8-bit RGB, clips as every browser plays them; of a picture
    there are no clips.

    Raises:
        VsrError: as for the whole file.
    """
    if is_image:
        plan = make_plan(Job(path, folder / "enhanced.png", is_image=True), options)
        return _write_pictures(plan, make_engine(plan), folder)
    options = replace(options, encode=_PLAYABLE, also=AlsoOptions(), job=JobOptions(segment="off"))
    start = max(0.0, moment.at_s - moment.seconds / 2)
    around = _between(options, start, start + max(moment.seconds, 0.001))
    plan = make_plan(Job(path, folder / "after.mp4", is_image=False), around)
    engine = make_engine(plan)
    one = replace(options.read, start=f"{moment.at_s:.3f}", end="", frames=1)
    _write_pictures(replace(plan, options=replace(around, read=one)), engine, folder)
    if moment.seconds:
        unchanged = replace(around, models=ModelOptions(scale=1, source="clean"), engine=EngineOptions())
        before = make_plan(Job(path, folder / "before.mp4", is_image=False), unchanged)
        _write_clip(before, make_engine(before))
        _write_clip(plan, engine)
    return None


def _between(options: EnhanceOptions, start_s: float, end_s: float) -> EnhanceOptions:
    return replace(options, read=replace(options.read, start=f"{start_s:.3f}", end=f"{end_s:.3f}", frames=0))


def _write_pictures(plan: Plan, engine: Engine, folder: Path) -> None:
    """Write the first frame of a plan, as it is and enhanced."""
    source, sink = open_source(plan), MemorySink()
    frames = source.frames()
    with closed_after(frames):
        first = next(iter(frames), None)
    if first is None:
        raise SourceError(f"{plan.job.path} has no picture at that time; give one within the clip")
    shown = first if plan.crop is None else next(iter(crop([first], plan.crop)))
    _write_png(folder / "before.png", shown, plan.source)
    enhance(ListSource([first]), engine, sink, pipeline_options(plan))
    _write_png(folder / "after.png", sink.frames[0], plan.source)


def _write_png(path: Path, frame: Frame, info: StreamInfo) -> None:
    # For the screen: without what a camera or a file says of its colours.
    with ImageSink(
        path, source=replace(info, path=str(path), kind="image", num_frames=1, metadata={})
    ) as sink:
        sink.write(as_frame(to_rgb(frame)))


def _write_clip(plan: Plan, engine: Engine) -> None:
    source = open_source(plan)
    enhance(source, engine, make_sink(plan, source), pipeline_options(plan))
