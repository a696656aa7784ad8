"""`vsr probe`: what was found in a file."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vsr.cli.console import duration, in_a_line, show
from vsr.cli.signals import within
from vsr.errors import redact
from vsr.frames import StreamInfo
from vsr.media import is_image, is_numbered, numbered_files, probe_image, probe_numbered
from vsr.media import probe as probe_video


def probe_command(
    file: Annotated[Path, Parameter(show_default=False)],
    /,
    *,
    allow_network: bool = False,
    json_: Annotated[bool, Parameter(name="--json")] = False,
    timeout: float = 10.0,
    debug: bool = False,
) -> int:
    """Print what was found in a video or picture.

    Parameters
    ----------
    file
        Video or picture.
    allow_network
        Let an address (http, https) be read.
    json_
        Print JSON.
    timeout
        Seconds after which a file that cannot be seen through is given up.
    debug
        Show a traceback with an error.
    """
    late = f"{file} was not seen through in {timeout:g} s; it is hostile or the disk is slow, --timeout waits longer"
    with within(timeout, late):
        info = _probed(file, network=allow_network)
    if json_:
        print(json.dumps(asdict(replace(info, path=redact(info.path))), indent=2, default=str))
    else:
        show(describe_info(info))
    return 0


def _probed(file: Path, *, network: bool) -> StreamInfo:
    if is_numbered(file) and not file.exists():
        return probe_numbered(str(file), tuple(numbered_files(file).items()), None)
    return probe_image(file) if is_image(file) else probe_video(file, network=network)


def describe_format(info: StreamInfo) -> str:
    """One line: codec, size, pixels, colour."""
    format = info.format
    parts = [
        f"{info.codec} {format.width}x{format.height} {info.pixel_format}",
        f"{format.range} range",
        f"matrix {format.matrix}, primaries {format.primaries}, transfer {format.transfer}",
    ]
    if format.sample_aspect != 1:
        parts.append(f"sample aspect {format.sample_aspect.numerator}:{format.sample_aspect.denominator}")
    if info.rotation:
        parts.append(f"shown turned by {info.rotation}°")
    if info.interlaced:
        parts.append("interlaced")
    if info.mastering:
        parts.append("HDR mastering metadata")
    if info.dolby_vision:
        parts.append(f"Dolby Vision profile {info.dolby_vision}")
    if info.immersive:
        parts += [part for part in (info.immersive.projection, info.immersive.packing) if part]
    if info.timecode:
        parts.append(f"time code {info.timecode}")
    return ", ".join(parts)


def describe_info(info: StreamInfo) -> str:
    """Several lines for a reader."""
    lines = [info.path, f"  {info.container}: {describe_format(info)}"]
    if info.kind == "video":
        fps = info.average_rate
        rate = f"{float(fps):.6g} fps on average" if fps else "no frame rate given"
        frames = f"{info.num_frames} frames" if info.num_frames else "number of frames not given"
        length = duration(info.duration_s) if info.duration_s else "length not given"
        start = f", starts at {info.start_pts}" if info.start_pts else ""
        lines.append(f"  {length}, {frames}, {rate}, time base {info.time_base}{start}")
    for other in info.others:
        extra = ", ".join(in_a_line(part) for part in (other.language, other.title) if part)
        lines.append(f"  stream {other.index}: {other.kind} {other.codec}" + (f" ({extra})" if extra else ""))
    if info.num_chapters:
        lines.append(f"  {info.num_chapters} chapters")
    lines += [f"  {in_a_line(key)}: {in_a_line(value)}" for key, value in info.metadata.items()]
    return "\n".join([*lines, *(f"  note: {note}" for note in info.notes)])
