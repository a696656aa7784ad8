"""Facts of a video stream that PyAV neither shows nor takes, by way of a Matroska header in memory.

FFmpeg's muxer writes them into one, never to be a file, and its demuxer reads them out of one.
"""

import io
import re
import struct
from typing import Any, cast

import av
from av.error import FFmpegError
from av.video.stream import VideoStream

from vsr.media.pixels import SITINGS

_PLAIN_SETUP = b"\1" + bytes(23)
_XIPH_SETUP = b"\0\x2a" + bytes(42) + b"\0\1\0" * 2
_SETUPS = {"h264": _PLAIN_SETUP, "hevc": _PLAIN_SETUP, "vvc": _PLAIN_SETUP, "theora": _XIPH_SETUP}
"""What stands in for a decoder's setup where Matroska's muxer wants one; it is taken as it is."""


def header_of(stream: VideoStream) -> bytes:
    """Return the header of a Matroska file with this stream; empty for a codec that Matroska cannot hold.

    The decoder's setup stays out of it: the muxer looks through it, without end where somebody wants it to.
    """
    header = io.BytesIO()
    try:
        with av.open(header, "w", format="matroska") as muxer:
            copied = cast(Any, muxer.add_stream_from_template(stream, opaque=True))
            copied.codec_context.extradata = _SETUPS.get(stream.codec_context.codec.canonical_name)
            muxer.start_encoding()
    except (FFmpegError, ValueError):
        return b""
    return header.getvalue()


def siting_in(header: bytes) -> str:
    """Return where chroma samples lie.

    ChromaSitingHorz and ChromaSitingVert are 0x55B7 and 0x55B8 (RFC 9559); 1 = at the luma sample, 2 = half way.
    """
    found = (header.find(element) for element in (b"\x55\xb7\x81", b"\x55\xb8\x81"))
    place = tuple(header[at + 3] for at in found if at >= 0)
    names = {(1, 2): "left", (2, 2): "center", (1, 1): "topleft", (2, 1): "top"}
    siting = names.get(cast(Any, place), "unspecified")
    assert siting in SITINGS
    return siting


def dolby_vision_in(header: bytes) -> str:
    """Return the profile of Dolby Vision, with what its base layer is compatible with: `5`, `8.1`; empty for none.

    BlockAddIDType (0x41E7) names the configuration record dvcC, dvvC or dvwC, BlockAddIDExtraData (0x41ED) holds it:
    two bytes of version, seven bits of profile, six of level, three flags, four bits of compatibility
    (Dolby Vision Streams Within the ISO Base Media File Format, 2.3).
    """
    found = re.search(rb"\x41\xe7\x84dv[cvw]C\x41\xed[\x80-\xff](.{5})", header, re.DOTALL)
    if found is None:
        return ""
    return _profile(found[1][2] >> 1, found[1][4] >> 4)


def dolby_vision_of_metadata(data: bytes) -> str:
    """Guess the profile from a picture's metadata, where no container tells: FFmpeg's AVDOVIMetadata.

    A full-range base layer under VDR profile 0 is that of profile 5; what else there is has an ordinary one.
    """
    (offset,) = struct.unpack_from("@N", data)
    vdr_profile, full_range = data[offset + 4], data[offset + 10]
    return "5" if vdr_profile == 0 and full_range else "unknown"


def has_own_colours(dolby_vision: str) -> bool:
    """Whether the base layer is IPT-PQ-c2, which nothing but a Dolby Vision player shows in its colours."""
    return dolby_vision in ("5", "10", "20")


def _profile(profile: int, compatible: int) -> str:
    return f"{profile}.{compatible}" if compatible else str(profile)
