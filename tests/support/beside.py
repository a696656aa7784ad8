"""What travels beside pictures, put by hand into files that FFmpeg has made: it writes little of it itself."""

import struct
from pathlib import Path

from support.clips import run_ffmpeg

CAPTIONS = b"\xb5\x00\x31GA94\x03\x41\xff\xfc\x94\x20\xff"
"""CEA-608 in ATSC's user data (A/53, part 4): one pair of bytes, that captions begin."""


def h264_sei(kind: int, payload: bytes) -> bytes:
    """A NAL unit of supplemental information; the payload may hold no three bytes that need escaping."""
    return b"\x00\x00\x00\x01\x06" + bytes([kind, len(payload)]) + payload + b"\x80"


def with_h264_sei(clip: Path, target: Path, kind: int, payload: bytes, *, skip: int = 0) -> Path:
    """Copy a clip of H.264 with a message before each picture but the first few, each of which is one slice."""
    bare = target.with_suffix(".264")
    run_ffmpeg("-i", clip, "-map", "0:v", "-c", "copy", "-bsf:v", "h264_mp4toannexb", bare)
    pieces, number = [b""], 0
    for nal in bare.read_bytes().replace(b"\x00\x00\x00\x01", b"\x00\x00\x01").split(b"\x00\x00\x01")[1:]:
        if nal[0] & 31 in (1, 5):
            pieces.append(h264_sei(kind, payload) if number >= skip else b"")
            number += 1
        pieces.append(b"\x00\x00\x00\x01" + nal)
    bare.write_bytes(b"".join(pieces))
    if target != bare:
        run_ffmpeg("-r", "25", "-i", bare, "-c", "copy", target)
    return target


def with_mpeg2_user_data(clip: Path, target: Path, data: bytes) -> Path:
    """Copy a clip of MPEG-2 into a bare stream with user data in front of each picture's slices."""
    run_ffmpeg("-i", clip, "-map", "0:v", "-c", "copy", target)
    # slice 1 follows the picture's own headers
    target.write_bytes(target.read_bytes().replace(b"\0\0\1\1", b"\0\0\1\xb2" + data + b"\0\0\1\1"))
    return target


def with_exif(jpeg: bytes, orientation: int | None) -> bytes:
    """Put EXIF into a JPEG: a maker and, if there is one, an orientation (1 to 8)."""
    entries = [struct.pack("<HHI4s", 0x010F, 2, 4, b"me!\0")]
    entries += [struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)] if orientation else []
    tiff = b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff + jpeg[2:]


def box(name: bytes, *parts: bytes) -> bytes:
    """A box of ISO/IEC 14496-12."""
    data = b"".join(parts)
    return struct.pack(">I", 8 + len(data)) + name + data


def with_box(clip: Path, added: bytes) -> Path:
    """Add a box to the first sample entry of the first track of an mp4 file whose header is at its end."""
    data = bytearray(clip.read_bytes())
    at, ends = 0, len(data)
    sizes: list[int] = []
    for name, skip in ((b"moov", 8), (b"trak", 8), (b"mdia", 8), (b"minf", 8), (b"stbl", 8), (b"stsd", 16)):
        while data[at + 4 : at + 8] != name:
            at += struct.unpack_from(">I", data, at)[0]
            assert at < ends
        sizes.append(at)
        at += skip
    assert data.find(b"mdat") < sizes[0], "offsets would move"
    sizes.append(at)
    end = at + struct.unpack_from(">I", data, at)[0]
    data[end:end] = added
    for place in sizes:
        struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] + len(added))
    clip.write_bytes(data)
    return clip


def dolby_vision(profile: int, compatible: int) -> bytes:
    """The box that says so, with an RPU and a base layer."""
    name = b"dvcC" if profile <= 7 else b"dvvC"
    return box(name, bytes([1, 0, profile << 1, 1 << 3 | 0b101, compatible << 4]), bytes(19))


def spherical(*, stereo: int = 0, yaw: int = 90) -> bytes:
    """An equirectangular picture, turned by so many degrees (Spherical Video V2).

    Stereo is 0 for one view, 1 for top and bottom, 2 for side by side.
    """
    head = box(b"prhd", struct.pack(">Iiii", 0, yaw << 16, 0, 0))
    projection = box(b"proj", head, box(b"equi", bytes(20)))
    wrapped = box(b"sv3d", box(b"svhd", bytes(4), b"made by hand\0"), projection)
    return (box(b"st3d", bytes(4), bytes([stereo])) if stereo else b"") + wrapped


def see_through(path: Path, codec: str) -> Path:
    """Write a short clip of 64x48 whose opacity is a second layer, as libvpx makes it."""
    source = ("-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.2:r=10", "-pix_fmt", "yuva420p")
    run_ffmpeg(*source, "-auto-alt-ref", "0", "-c:v", codec, path)
    return path
