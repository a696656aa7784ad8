"""A few seconds of what a plan would give, beside the same of the source: before the whole file is begun."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from vsr.engine import Engine
from vsr.errors import SourceError
from vsr.frames import Frame
from vsr.jobs.assemble import make_engine, make_sink, open_source, pipeline_options
from vsr.jobs.inputs import Job
from vsr.jobs.measured_support import drawn_support
from vsr.jobs.plan import Plan, make_plan
from vsr.media import ImageSink, MemorySink
from vsr.options import AlsoOptions, EncodeOptions, EnhanceOptions, JobOptions, ModelOptions
from vsr.pipeline import enhance
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
    """Write `before.png`, `after.png` and `support.png` of a moment, and then `before.mp4` and `after.mp4` around it,
    into a folder.

    Each file is there whole or not at all. Pictures are 8-bit RGB; `before.png` has the source's size, `support.png`
    is `after.png` with lines over what the source does not support, of results that are no smaller. Clips are as
    every browser plays them, without sound, and have the same frames at the same times in the result's size, so that
    one can lie over the other; of a picture there are none.

    Raises:
        VsrError: as for the whole file.
    """
    if not is_image:
        options = replace(options, encode=_PLAYABLE, also=AlsoOptions(), job=JobOptions(segment="off"))
    start = max(0.0, moment.at_s - moment.seconds / 2)
    around = options if is_image else _between(options, start, start + max(moment.seconds, 0.001))
    ending = "png" if is_image else "mp4"
    unchanged = _unchanged(around, ModelOptions(scale=1, source="clean"))
    # The source's own picture is there at once; what the networks are to be is only found out after it.
    before = make_plan(Job(path, folder / f"before.{ending}", is_image), unchanged)
    _write_picture(folder / "before.png", before, _picture(before, make_engine(before), moment))
    after = make_plan(Job(path, folder / f"after.{ending}", is_image), around)
    engine = make_engine(after)
    made = _picture(after, engine, moment)
    _write_picture(folder / "after.png", after, made)
    if made.format.height >= after.source.format.height:
        _write_picture(folder / "support.png", after, drawn_support(_at(after, moment), made))
    if not is_image and moment.seconds:
        enlarged = _unchanged(around, _enlarged_to(after))
        before = make_plan(before.job, enlarged)
        _write_clip(before, make_engine(before))
        _write_clip(after, engine)


def _unchanged(options: EnhanceOptions, models: ModelOptions) -> EnhanceOptions:
    """The same, with nothing made better."""
    return replace(options, models=models, picture=replace(options.picture, color_correct=False, label="off"))


def _enlarged_to(plan: Plan) -> ModelOptions:
    """The result's size without a network."""
    output, source = plan.output, plan.source
    height, width = (output.width, output.height) if source.rotation % 180 else (output.height, output.width)
    scale = min(4, max(1, math.ceil(output.height / source.format.height)))
    model = (f"bicubic-x{scale}",) if scale > 1 else ()
    return ModelOptions(model=model, size=f"{width}x{height}", source="clean")


def _between(options: EnhanceOptions, start_s: float, end_s: float) -> EnhanceOptions:
    return replace(options, read=replace(options.read, start=f"{start_s:.3f}", end=f"{end_s:.3f}", frames=0))


def _at(plan: Plan, moment: Moment) -> Plan:
    """The same of the picture that is shown at a moment, alone."""
    if plan.job.is_image:
        return plan
    one = replace(plan.options.read, start=f"{moment.at_s:.3f}", end="", frames=1)
    return replace(plan, options=replace(plan.options, read=one))


def _picture(plan: Plan, engine: Engine, moment: Moment) -> Frame:
    """What a plan makes of that picture."""
    plan, made = _at(plan, moment), MemorySink()
    enhance(open_source(plan), engine, made, pipeline_options(plan))
    if not made.frames:
        raise SourceError(f"{plan.job.path} has no picture at {moment.at_s:g} s; give a time within the clip")
    return made.frames[0]


def _write_picture(path: Path, plan: Plan, frame: Frame) -> None:
    """For the screen: without what a camera or a file says of its colours."""
    info = replace(plan.source, path=str(path), kind="image", num_frames=1, metadata={})
    with ImageSink(path, source=info) as sink:
        sink.write(as_frame(to_rgb(frame)))


def _write_clip(plan: Plan, engine: Engine) -> None:
    source = open_source(plan)
    enhance(source, engine, make_sink(plan, source), pipeline_options(plan))
