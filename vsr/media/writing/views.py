"""Spherical and stereo facts on their way into a file. PyAV cannot set them, but copies what a stream came with: so
a Matroska header is made by hand that says them of an empty stream of the codec, and read.

Elements: RFC 9559; the projection's private data are those of Google's Spherical Video V2.
"""

import io
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream

from vsr.frames import Immersive, PictureFormat
from vsr.media.probe_video import codec_of
from vsr.media.track_tags import track_boxes

_CODECS = {
    "h264": "V_MPEG4/ISO/AVC",
    "hevc": "V_MPEGH/ISO/HEVC",
    "av1": "V_AV1",
    "vp9": "V_VP9",
    "ffv1": "V_FFV1",
    "prores": "V_PRORES",
}
_STEREO = {("side by side", False): 1, ("top and bottom", True): 2, ("top and bottom", False): 3,
           ("side by side", True): 11}  # fmt: skip
_SITING = {"left": (1, 2), "center": (2, 2), "topleft": (1, 1), "top": (2, 1)}
_PROJECTION = {"equirectangular": 1, "equirectangular tile": 1, "cubemap": 2}


def add_video(
    out: OutputContainer, template: VideoStream, immersive: Immersive | None, format: PictureFormat
) -> VideoStream:
    """Add a stream like the template, with these facts as far as they can be said."""
    codec = codec_of(template)
    if immersive is None or codec not in _CODECS:
        return out.add_stream_from_template(template, opaque=True)
    if out.format.name == "mov":
        # FFmpeg writes Apple's box alone, which would say two streams and knows of no turn.
        immersive = replace(
            immersive, packing="", projection="" if any(immersive.turned) else immersive.projection
        )
    header = _header(_CODECS[codec], immersive, format)
    with cast(InputContainer, av.open(io.BytesIO(header), format="matroska")) as opened:
        stream = out.add_stream_from_template(opened.streams.video[0], opaque=True)
    ours, given = cast(Any, stream.codec_context), cast(Any, template.codec_context)
    ours.extradata, ours.pix_fmt, ours.reorder_depth = given.extradata, given.pix_fmt, given.reorder_depth
    if given.profile:
        ours.profile = given.profile
    return stream


def mirroring(rotation: int) -> list[int]:
    """Return the display matrix of a mirrored picture, in FFmpeg's fixed point; degrees as `StreamInfo` has them."""
    cos, sin = {0: (1, 0), 90: (0, -1), 180: (-1, 0), 270: (0, 1)}[rotation]
    return [cos << 16, sin << 16, 0, sin << 16, -cos << 16, 0, 0, 0, 1 << 30]


def keep_google_box(path: Path) -> None:
    """Take Apple's box of views out of an mp4 file, in whose place nothing is moved.

    FFmpeg writes it beside Google's and cannot say in it that both views lie in one picture; what reads the two
    believes Apple's.
    """
    with path.open("r+b") as file:
        found = [
            (begin, end) for name, begin, end in track_boxes(file, 0, path.stat().st_size) if name == b"stsd"
        ]
        for begin, end in found:
            file.seek(begin)
            at = file.read(end - begin).find(b"vexu")
            if at >= 0:
                file.seek(begin + at)
                file.write(b"free")


def missing_views(wanted: Immersive, found: Immersive | None) -> list[str]:
    """Name what of the facts a file does not say."""
    found = found or Immersive()
    view = ("packing", "swapped")
    lost = ["stereo views"] if any(getattr(wanted, name) != getattr(found, name) for name in view) else []
    flat = {"packing": "", "swapped": False}
    return lost + (["spherical projection"] if replace(wanted, **flat) != replace(found, **flat) else [])


def _header(codec: str, immersive: Immersive, format: PictureFormat) -> bytes:
    stereo = _STEREO.get((immersive.packing, immersive.swapped))
    across, down = _SITING.get(format.siting, (0, 0))
    shown = [
        _number("b0", format.width),
        _number("ba", format.height),
        _element("55b0", _number("55b7", across), _number("55b8", down)) if across else b"",
        _number("53b8", stereo) if stereo else b"",
        _projection(immersive) if immersive.projection in _PROJECTION else b"",
    ]
    named = _element("86", codec.encode())
    entry = [_number("d7", 1), _number("73c5", 1), _number("83", 1), named, _element("e0", *shown)]
    begin = [_number("4286", 1), _number("42f7", 1), _number("42f2", 4), _number("42f3", 8)]
    kind = [_element("4282", b"matroska"), _number("4287", 4), _number("4285", 2)]
    tracks = _element("1654ae6b", _element("ae", *entry))
    ticks = _element("1549a966", _number("2ad7b1", 1_000_000))
    return _element("1a45dfa3", *begin, *kind) + _element("18538067", ticks, tracks, _element("1f43b675"))


def _projection(immersive: Immersive) -> bytes:
    left, top, right, bottom = immersive.bounds
    private = struct.pack(">5I", 0, top, bottom, left, right)
    if immersive.projection == "cubemap":
        private = struct.pack(">3I", 0, 0, immersive.padding)
    yaw, pitch, roll = (struct.pack(">f", angle / 65536) for angle in immersive.turned)
    turned = [_element("7673", yaw), _element("7674", pitch), _element("7675", roll)]
    return _element(
        "7670", _number("7671", _PROJECTION[immersive.projection]), _element("7672", private), *turned
    )


def _element(name: str, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return bytes.fromhex(name) + b"\x01" + len(data).to_bytes(7, "big") + data


def _number(name: str, value: int) -> bytes:
    return _element(name, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))
