"""What will be done with one file, decided without side effects, and
everything that the user should know of it."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vsr.autocrop import Rectangle, crop, cropped_format, cut_sides, find_borders
from vsr.color_correct import HDR
from vsr.engine import check_tiles, pick_device
from vsr.errors import ConfigError, SourceError
from vsr.frames import PictureFormat, StreamInfo
from vsr.jobs.inputs import Job
from vsr.jobs.int8_ranges import in_own_ranges
from vsr.jobs.label_words import label_of
from vsr.jobs.result_size import models_size, result_format, wanted_size
from vsr.jobs.sample_frames import spread_frames
from vsr.jobs.source_facts import is_video_name, source_facts
from vsr.jobs.source_quality import judge_source
from vsr.limits import check_picture, check_stream
from vsr.media import (
    MAX_PIXELS,
    EncoderChoice,
    FileOutput,
    NumberedOutput,
    Outputs,
    as_read,
    describe_fields,
    forget_trials,
    is_numbered,
    is_standard,
    plan_outputs,
)
from vsr.models import Model, Verdict, make_chain
from vsr.options import EnhanceOptions, ReadOptions
from vsr.pulse import at_work
from vsr.quality import Label


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that will be done with one file."""

    job: Job
    source: StreamInfo
    """The file."""
    frames: StreamInfo
    """The stream that is made of it when it is read; its ticks and rate are those of the result."""
    crop: Rectangle | None
    """The part of each picture that is enhanced; None for all of it."""
    models: tuple[Model, ...]
    output: PictureFormat
    """Size and format of the enhanced frames."""
    resample: tuple[int, int] | None
    """Height, width of the final resampling; None where the models give the size wanted."""
    outputs: Outputs | None
    """The files to be; None for a picture."""
    num_frames: int | None
    """As far as the container tells; for progress and estimates only."""
    options: EnhanceOptions
    """What was wanted."""
    notes: tuple[str, ...]
    """Lines that the user should read before."""
    overwrite: bool = False
    """What bears the results' names when they are finished may lose them."""
    hashes_frames: bool = False
    """Each frame is hashed as it was decoded and as it is encoded."""
    kept_frames: frozenset[int] = frozenset()
    """Of these numbers frames that are hashed are kept as they were decoded, where all is done in this process."""
    label: Label | None = None
    """What is written on each picture of the result."""

    @property
    def standing(self) -> list[Path]:
        """What is there under the names of results and their pictures."""
        if self.outputs is None:
            return [self.job.target] if os.path.lexists(self.job.target) else []
        return [path for file in self.outputs.files for path in file.standing()]

    @property
    def encoder(self) -> EncoderChoice | None:
        """Of the result; None for a picture."""
        return self.outputs.choices[0] if self.outputs else None

    @property
    def second(self) -> FileOutput | NumberedOutput | None:
        """Where the same frames go, too."""
        return self.outputs.files[1] if self.outputs and len(self.outputs.files) > 1 else None

    @property
    def encodes_on_gpu(self) -> bool:
        """Whether an output needs one of the few sessions that a GPU has for encoding."""
        return self.outputs is not None and any(choice.on_gpu(0) != choice for choice in self.outputs.choices)

    @property
    def is_piped(self) -> bool:
        """Whether it comes or goes through a pipe, which nothing can be done again with."""
        return is_standard(self.job.path) or is_standard(self.job.target)

    @property
    def is_long(self) -> bool:
        """Whether it is enhanced in segments: a video longer than one of them, or of unknown length."""
        seconds, read = self.options.job.segment, self.options.read
        if seconds == "off" or self.outputs is None or self.job.is_image or self.is_piped:
            return False
        start, end = (float(time) if time is not None else None for time in read.span)
        length = min((time for time in (self.frames.duration_s, end) if time is not None), default=None)
        if read.frames and self.frames.average_rate:
            length = min(length or math.inf, (start or 0) + read.frames / float(self.frames.average_rate))
        return length is None or length - (start or 0) > seconds

    def on_device(self, device: str, threads: int) -> "Plan":
        """The same plan as a worker carries it out: on this device, with so many threads."""
        engine = replace(self.options.engine, device=device, threads=threads)
        return replace(self, options=replace(self.options, engine=engine))


def make_plan(job: Job, options: EnhanceOptions) -> Plan:
    """Look at the input and decide on models, size and encoder.

    Raises:
        SourceError: the input cannot be read.
        ModelError: a model is not known or does not load.
        ConfigError: an option does not go with this input, or the result would take another's place.
        SinkError: the encoder asked for does not work here.
    """
    if job.clash:
        raise ConfigError(job.clash)
    info = source_facts(job, options)
    frames = info if job.is_image else as_read(info, options.read)
    format, rectangle = info.format, _crop(info, options)
    if rectangle is not None:
        format = cropped_format(format, rectangle)
        frames = replace(frames, immersive=None)  # it describes whole pictures
    factor, size = wanted_size(format, info.rotation, options.models)
    verdict = _judged(info, options)
    with at_work():
        chain = make_chain(options.models, factor, verdict, device=pick_device(options.engine.device).type)
    models, options, of_int8 = in_own_ranges(chain.models, info, options, rectangle)
    given = models_size(format, models)
    output = result_format(format, size or given, options)
    _check_memory(job, info, format, output, options)
    _check_tiles(models, format, options)
    outputs = _outputs(job, frames, output, options)
    plan = Plan(
        job=job,
        source=info,
        frames=frames,
        crop=rectangle,
        models=models,
        output=outputs.format if outputs else output,
        resample=None if (output.height, output.width) == given else (output.height, output.width),
        outputs=outputs,
        num_frames=info.num_frames if job.is_image else _num_frames(frames, options.read),
        options=options,
        notes=(*chain.notes, *of_int8),
        label=label_of(options.picture, info, output, models),
    )
    return replace(plan, notes=_notes(plan))


def with_encoders_of_now(plan: Plan) -> Plan:
    """The same plan, for which encoders were chosen anew; a long job begins again.

    Raises:
        SinkError: the encoder asked for does not work here any more.
    """
    forget_trials()
    options = plan.options
    if plan.is_long:
        options = replace(options, job=replace(options.job, restart=True))
    return replace(plan, outputs=_outputs(plan.job, plan.frames, plan.output, plan.options), options=options)


def _check_memory(
    job: Job, info: StreamInfo, source: PictureFormat, result: PictureFormat, options: EnhanceOptions
) -> None:
    if not job.is_image or is_video_name(job.target):
        check_stream(info.path, source, result, options.job.max_memory)
        return
    together = job.target.suffix.lower() == ".avif"  # whose encoder takes all frames at once
    waiting = (info.num_frames or 1) if together else 1
    check_picture(info.path, source, result, options.job.max_memory, waiting=waiting)


def _check_tiles(models: Sequence[Model], format: PictureFormat, options: EnhanceOptions) -> None:
    if pick_device(options.engine.device).type == "cpu":
        check_tiles(models, options.engine, format.height, format.width, options.job.max_memory)


def _judged(info: StreamInfo, options: EnhanceOptions) -> Verdict:
    """What the source looks like, where the user has not decided all that follows of it."""
    if not options.models.measures or is_standard(info.path):
        return Verdict(is_real=False, why="not looked at")
    return judge_source(info, options.read)


def _outputs(job: Job, frames: StreamInfo, format: PictureFormat, options: EnhanceOptions) -> Outputs | None:
    if job.is_image and not (is_video_name(job.target) and (frames.num_frames or 1) > 1):
        if is_numbered(job.target):
            raise ConfigError(
                f"{job.target} means many pictures, and {job.path} is one; name one, or give as-video"
            )
        if format.height * format.width > MAX_PIXELS:
            size = f"{format.width}x{format.height}"
            raise SourceError(
                f"{job.path} would become {size}, too large; pictures of up to {MAX_PIXELS:,} pixels are written"
            )
        return None
    read = options.read
    trim = bool(read.start or read.end or read.frames or job.pictures)  # the first number is no time
    return plan_outputs(job.target, frames, format, options.encode, options.also, trim=trim)


def _crop(info: StreamInfo, options: EnhanceOptions) -> Rectangle | None:
    """The part that is enhanced: what the user leaves, and of that what is not border."""
    left = cut_sides(info.format, options.picture.crop)
    if not options.picture.autocrop:
        return left
    if is_standard(info.path):
        raise ConfigError(
            "autocrop looks at frames spread over a file, and a pipe is read once; give crop-top and its kin"
        )
    samples = spread_frames(info, options.read)
    found = find_borders(samples if left is None else crop(samples, left))
    return left if found is None else found.within(left)


def _notes(plan: Plan) -> tuple[str, ...]:
    """Everything the user should read of a plan, in the order in which it happens."""
    choices = plan.outputs.choices if plan.outputs else []
    return (
        *plan.source.notes,
        *_notes_on_times(plan),
        *_notes_on_the_cut(plan),
        *_notes_on_colors(plan),
        *plan.notes,
        *_notes_on_the_result(plan),
        *(note for choice in choices for note in choice.notes),
    )


def _notes_on_times(plan: Plan) -> Iterator[str]:
    info, read = plan.source, plan.options.read
    if info.pictures and not read.fps and not is_numbered(plan.job.target):
        yield f"{info.average_rate} frames a second are assumed; --fps says otherwise"
    if is_standard(info.path):
        yield "a pipe is read once: what comes counts as clean (--source real says otherwise)"
    if not info.pictures and read.fps:
        yield "fps means nothing here: the frames have times of their own"
    if plan.job.is_image and replace(read, fps="") != ReadOptions():
        yield "start, end, frames and deinterlace mean nothing for a picture"
    elif said := describe_fields(info, read):
        yield said


def _notes_on_the_cut(plan: Plan) -> Iterator[str]:
    info, picture = plan.source, plan.options.picture
    if any(picture.crop.values()):
        cut = ", ".join(f"{lines} at the {side}" for side, lines in picture.crop.items() if lines)
        yield f"crop: {cut} cut off"
    if plan.crop and info.immersive:
        yield "left out: spherical and stereo facts: the pictures are cut"
    if picture.autocrop:
        whole = f"{info.format.width}x{info.format.height}"
        yield f"autocrop: {f'{plan.crop} of {whole} is picture' if plan.crop else 'no black borders found'}"


def _notes_on_colors(plan: Plan) -> Iterator[str]:
    if not plan.options.picture.color_correct:
        return
    if plan.source.format.transfer in HDR:
        yield "color-correct: left out, white has no fixed place in HDR"
    else:
        yield "color-correct: white balance and levels, adapting slowly within each scene"


def _notes_on_the_result(plan: Plan) -> Iterator[str]:
    if not plan.models:
        yield "no model is needed for this size"
    if plan.resample:
        format = plan.source.format
        height, width = models_size(cropped_format(format, plan.crop) if plan.crop else format, plan.models)
        yield f"models give {width}x{height}; resampled once to {plan.resample[1]}x{plan.resample[0]}"
    if plan.label:
        corner = plan.options.picture.label_corner
        yield f"label: {plan.label.text!r} stands in the corner {corner} of every picture"
    if plan.outputs is None and plan.options.also.also:
        yield "also means nothing for a picture"


def _num_frames(info: StreamInfo, read: ReadOptions) -> int | None:
    total = info.num_frames
    if total is not None and info.duration_s and (read.start or read.end):
        start, end = read.span
        span = min(float(end or info.duration_s), info.duration_s) - float(start)
        total = max(1, round(total * span / info.duration_s))
    return min(total or read.frames, read.frames) if read.frames else total
