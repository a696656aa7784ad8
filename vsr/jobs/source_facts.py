"""What is in a file that is to be enhanced, before anything is decided of it."""

from dataclasses import replace
from pathlib import Path

from vsr.errors import ConfigError, SourceError
from vsr.frames import StreamInfo
from vsr.jobs.inputs import Job
from vsr.jobs.result_size import wanted_size
from vsr.limits import check_stream
from vsr.media import CONTAINERS, clock_of, has_own_colours, is_numbered, probe, probe_image, probe_numbered
from vsr.options import EnhanceOptions, PictureOptions, ReadOptions, parse_aspect


def source_facts(job: Job, options: EnhanceOptions) -> StreamInfo:
    """Return what is in the file, with the shape that it is meant to have, where it may be enhanced at all.

    No frame of a video has been kept by then.

    Raises:
        SourceError: it cannot be read, is too large, or its colours would come out wrong.
        ConfigError: an option does not go with it.
    """
    info = _shown(_probed(job, options.read, options.job.max_memory), options.picture)
    _check_colours(info, options.read)
    if not job.is_image:
        _, size = wanted_size(info.format, 0, options.models)
        height, width = size or (info.format.height, info.format.width)
        least = replace(info.format, height=max(1, height), width=max(1, width))
        check_stream(info.path, info.format, least, options.job.max_memory)
    return info


def _probed(job: Job, read: ReadOptions, most_gb: float) -> StreamInfo:
    if job.is_image:
        info = probe_image(job.path, opaque=is_video_name(job.target), most_gb=most_gb)
        if (info.num_frames or 1) > 1 and (read.start or read.end or read.frames):
            raise ConfigError(
                f"{job.path} is a picture that moves, and start, end and frames cut videos; make it one first"
                " (-o NAME.mkv)"
            )
        return info
    if not job.pictures and not is_numbered(job.path):
        info = probe(job.path, network=read.allow_network)
        return clock_of(info.path, info.stream_index).correct(info)
    if read.deinterlace not in ("auto", "off"):
        raise ConfigError(
            f"deinterlace {read.deinterlace} means nothing for whole pictures; auto is accepted"
        )
    return probe_numbered(str(job.path), job.pictures, read.rate)


def _check_colours(info: StreamInfo, read: ReadOptions) -> None:
    if has_own_colours(info.dolby_vision) and not read.force:
        raise SourceError(
            f"{info.path!r} is Dolby Vision profile {info.dolby_vision}, whose colours are no Y'CbCr (IPT-PQ-c2) and "
            "would come out wrong; make it HDR10 or profile 8.1 first, or pass --force"
        )


def _shown(info: StreamInfo, picture: PictureOptions) -> StreamInfo:
    """The same input with the shape that the user says it is meant to have."""
    if not picture.display_aspect:
        return info
    format = info.format
    aspect = parse_aspect(picture.display_aspect) * format.height / format.width
    return replace(info, format=replace(format, sample_aspect=aspect), coded_aspect=None)


def is_video_name(path: Path) -> bool:
    """Whether a name's ending is a video's."""
    return path.suffix.lower() in CONTAINERS
