"""Source, engine and sink put together as a plan wants them."""

from dataclasses import replace
from fractions import Fraction

from vsr.engine import Engine, gpu_number
from vsr.jobs.plan import Plan
from vsr.jobs.segments.borders import Cutting, Reach
from vsr.media import FileSink, ImageSink, ImageSource, NumberedSource, Outputs, PipeSink, VideoSource
from vsr.pipeline import PipelineOptions
from vsr.pulse import at_work


def open_source(plan: Plan) -> VideoSource | NumberedSource | ImageSource:
    """What reads the input."""
    if not plan.job.is_image:
        return open_video(plan)
    return ImageSource(plan.job.path, opaque=plan.outputs is not None, most_gb=plan.options.job.max_memory)


def open_video(plan: Plan, from_pts: int | None = None, passed: int = 0) -> VideoSource | NumberedSource:
    """What reads a video from a pts on (None: all of it), less so many frames of
    the limit that the user may have set."""
    read = plan.options.read
    limited = replace(read, frames=read.frames - passed if read.frames else 0)
    if plan.source.pictures:
        return NumberedSource(plan.source, limited, from_pts=from_pts)
    gpu = gpu_number(plan.options.engine.device)
    return VideoSource(plan.job.path, limited, info=plan.source, from_pts=from_pts, gpu=gpu)


def outputs_of(plan: Plan) -> Outputs:
    """What is written of a video; what a GPU encodes, on the one that enhances."""
    assert plan.outputs is not None
    gpu = gpu_number(plan.options.engine.device)
    return plan.outputs if gpu is None else plan.outputs.on_gpu(gpu)


def make_engine(plan: Plan) -> Engine:
    """Load the models onto their device."""
    output = plan.output
    with at_work():
        return Engine(
            plan.models,
            plan.options.engine,
            size=plan.resample,
            sample_aspect=output.sample_aspect,
            bit_depth=output.bit_depth,
            rgb=output.range == "full" and output.layout in ("rgb", "gray"),
        )


def make_sink(
    plan: Plan, source: VideoSource | NumberedSource | ImageSource
) -> FileSink | PipeSink | ImageSink:
    """What writes all results in one piece."""
    if plan.outputs is None:
        quality = plan.options.encode.quality
        return ImageSink(plan.job.target, source=plan.source, quality=quality, replace=plan.overwrite)

    def doubt() -> str:
        return "" if isinstance(source, ImageSource) else source.counts.doubt

    outputs = outputs_of(plan)
    if outputs.pipe is not None:
        return PipeSink(outputs.pipe, outputs.format, doubt)
    return FileSink.planned(outputs, doubt, replace=plan.overwrite)


def pipeline_options(plan: Plan) -> PipelineOptions:
    """What is put right between reading and enhancing, and written on the result."""
    return PipelineOptions(crop=plan.crop, color_correct=plan.options.picture.color_correct, label=plan.label)


def cutting(plan: Plan) -> Cutting:
    """How a long job is cut into segments."""
    seconds = plan.options.job.segment
    assert seconds != "off"
    return Cutting(Fraction(str(seconds)), Reach.of(plan.models), pipeline_options(plan))
