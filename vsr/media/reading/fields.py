"""Which of the ways from fields to progressive pictures a file takes, and what stream comes of it."""

from vsr.frames import StreamInfo
from vsr.media.reading.deinterlace import Bobber, Deinterlacer, Fields, as_bobbed
from vsr.media.reading.telecine import Film, as_film, film_rate, has_repeats
from vsr.options import ReadOptions


def way_of(info: StreamInfo, options: ReadOptions) -> str:
    """Return what is done: as asked, but `auto` where film is asked for at a rate that no telecine makes."""
    return "auto" if options.deinterlace == "film" and film_rate(info) is None else options.deinterlace


def make_fields(info: StreamInfo, options: ReadOptions) -> Fields:
    """Make the stage for a file."""
    stages = {"fields": Bobber, "film": Film}
    return stages.get(way_of(info, options), Deinterlacer)(options, info)


def as_read(info: StreamInfo, options: ReadOptions) -> StreamInfo:
    """Return the stream that comes of a file: `fields` and `film` change the
    ticks, number and rate of its frames."""
    changes = {"fields": as_bobbed, "film": as_film}
    change = changes.get(way_of(info, options))
    return info if change is None else change(info)


def describe_fields(info: StreamInfo, options: ReadOptions) -> str:
    """Return a line for the user; empty where nothing is done that must be said."""
    way, rate = way_of(info, options), float(info.average_rate or 0)
    if options.deinterlace == "film" and way == "auto":
        return f"film: {rate:g} pictures a second are no telecine's; only pictures marked as interlaced are changed"
    after = float(as_read(info, options).average_rate or 0)
    if way == "fields":
        return f"each field becomes a frame: {rate:.6g} pictures a second, {after:.6g} frames"
    if way == "film" and has_repeats(info):
        return f"the telecine is undone: {rate:.6g} pictures a second, {after:.6g} frames"
    return "fields are matched to the frames of film they come from" if way == "film" else ""
