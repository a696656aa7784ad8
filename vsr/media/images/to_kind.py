"""A frame and its source's metadata, brought to what a kind of picture file holds; and whether a file holds them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vsr.errors import ReadError, SourceError
from vsr.frames import Frame, PictureFormat
from vsr.media.images import codec
from vsr.media.images.kinds import KINDS, PictureKind, title
from vsr.media.images.linear import HLG, PQ
from vsr.media.images.metadata import (
    SURE_TO_FIT,
    DamagedError,
    Header,
    Metadata,
    Pixels,
    num_beyond,
    orientation_of,
    portable,
)
from vsr.media.images.probe_image import read
from vsr.media.pixels import PRIMARIES, TRANSFERS

_NAMES = {
    "exif": "EXIF",
    "xmp": "XMP",
    "icc": "colour profile",
    "density": "density",
    "segments": "comments and IPTC texts",
}
_WIDE = ("bt2020", "smpte431", "smpte432")


@dataclass(frozen=True, slots=True)
class Fitted:
    """What is encoded, and what reading it back must give."""

    pixels: Pixels
    container: str
    bit_depth: int
    metadata: Metadata
    transfer: str
    notes: tuple[str, ...]


def source_header(path: str | Path) -> tuple[Header | None, tuple[str, ...]]:
    """Read what a source's file says beside its pixels; where it cannot be read, None and a note."""
    try:
        return read(path, most_gb=math.inf)[1], ()  # which it has been held against
    except SourceError as error:
        return None, (f"metadata is not carried: {error}",)


def fitted(frame: Frame, container: str, header: Header | None) -> Fitted:
    """Bring a frame, and what its source's file says beside the pixels, to what a kind holds, with notes."""
    format, notes = frame.format, list[str]()
    pixels, depth = _samples(frame, container, notes)
    orientation = orientation_of(header.metadata.exif) if header else 1
    if orientation != 1 and "exif" not in KINDS[container].holds:
        pixels = upright(pixels, orientation)
        notes.append(f"it is turned upright, since {title(container)} cannot say how it is to be turned")
    metadata = _carried(header, pixels, container, notes) if header else Metadata()
    metadata = _with_colours(metadata, format, container, notes)
    return Fitted(pixels, container, depth, metadata, format.transfer, tuple(notes))


def _samples(frame: Frame, container: str, notes: list[str]) -> tuple[Pixels, int]:
    """Stack the planes as channels and depth that the kind holds: (height, width, channels), bits."""
    format, kind = frame.format, KINDS[container]
    pixels, name = np.stack(frame.planes, axis=2), title(container)
    depth = _depth(kind, format, pixels.shape[2])
    if depth < format.bit_depth:
        notes.append(f"{format.bit_depth} bits are reduced to {depth}, which is what is written as {name}")
    pixels = _to_depth(pixels, format.bit_depth, depth)
    channels = pixels.shape[2]
    if channels not in kind.channels and format.alpha and not {channels, channels + 2} & set(kind.channels):
        pixels = over_white(pixels, depth)
        notes.append(f"transparency is laid over white, since {name} holds none")
    if pixels.shape[2] not in kind.channels:
        pixels = pixels[..., [0, 0, 0, 1][: pixels.shape[2] + 2]]
        notes.append(f"grey is stored as RGB, since {name} holds no {'such ' if format.alpha else ''}grey")
    return pixels, depth


def over_white(pixels: Pixels, depth: int) -> Pixels:
    """Lay pixels with opacity over white."""
    white = (1 << depth) - 1
    opacity = pixels[..., -1:] / white
    return np.rint(pixels[..., :-1] * opacity + white * (1 - opacity)).astype(pixels.dtype)


def _depth(kind: PictureKind, format: PictureFormat, channels: int) -> int:
    """The least of a kind's depths that loses nothing, or its greatest; odd ones are for plain RGB."""
    depths = [depth for depth in kind.depths if channels == 3 or depth in (8, 16)]
    return next((depth for depth in depths if depth >= format.bit_depth), depths[-1])


def _to_depth(pixels: Pixels, source: int, target: int) -> Pixels:
    if source == target:
        return pixels
    factor = ((1 << target) - 1) / ((1 << source) - 1)
    return np.rint(pixels * np.float64(factor)).astype(np.uint8 if target == 8 else np.uint16)


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn and mirror pixels as EXIF's orientation wants them shown."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    down, across = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return pixels[:: -1 if down else 1, :: -1 if across else 1]


def kept_of(metadata: Metadata, container: str, notes: list[str]) -> Metadata:
    """What of the metadata a kind holds; the rest is named in a note."""
    holds = KINDS[container].holds.split()
    there = metadata.named()
    names = [_NAMES[name] for name in there if name not in holds and name != "chunks"]
    if metadata.chunks and "chunks" not in holds:
        names += sorted({name.decode() for name, _ in metadata.chunks})
    if names:
        notes.append(f"{', '.join(names)} left out, which {title(container)} does not have")
    return Metadata(**{name: value for name, value in there.items() if name in holds})


def _carried(header: Header, pixels: Pixels, container: str, notes: list[str]) -> Metadata:
    """Metadata of the source's file that fits the output."""
    metadata = header.metadata
    gray_out = pixels.shape[2] <= 2
    if metadata.icc and (header.color == "cmyk" or (header.color == "gray") != gray_out):
        metadata = replace(metadata, icc=b"")
        if header.color != "cmyk":  # probing has said so for CMYK
            notes.append("the colour profile is left out, since grey and RGB need different ones")
    kept = kept_of(metadata, container, notes)
    if container == "tiff" and (beyond := num_beyond(kept.exif)):
        notes.append(
            f"of EXIF, {beyond} fields that TIFFs do not have are left out, such as a preview picture"
        )
    return kept


def _with_colours(metadata: Metadata, format: PictureFormat, container: str, notes: list[str]) -> Metadata:
    """Say colours beyond sRGB that no profile tells: in PNG's cICP (ITU-R H.273's codes), else in a note."""
    beyond = format.primaries in _WIDE or format.transfer in (PQ, HLG)
    if not beyond or metadata.icc or container == "openexr" or any(n == b"cICP" for n, _ in metadata.chunks):
        return metadata
    if container != "png":
        notes.append(
            f"{title(container)} does not say its colours here: {format.primaries}, {format.transfer}"
        )
        return metadata
    codes = bytes((PRIMARIES[format.primaries], TRANSFERS[format.transfer], 0, 1))
    return replace(metadata, chunks=((b"cICP", codes), *metadata.chunks))


def difference(path: Path, ending: str, expected: Fitted) -> str:
    """Read a file back that will have this ending, and say how it differs from what went in, if it does.

    Raises:
        ReadError: the disk fails.
    """
    try:
        data, header = read(path, ending, most_gb=math.inf)
        pixels = codec.decode_image(data, replace(header, transfer=expected.transfer))
    except ReadError:
        raise  # the disk's failure is no difference
    except (SourceError, DamagedError) as error:
        return f"the written file cannot be read back ({error})"
    return next(_differences(pixels, header.metadata, expected), "")


def _differences(pixels: Pixels, metadata: Metadata, expected: Fitted) -> Iterator[str]:
    wanted, kind = expected.pixels, KINDS[expected.container]
    opaque = wanted.shape[2] in (2, 4) and bool((wanted[..., -1] == np.iinfo(wanted.dtype).max).all())
    if (opaque or expected.container == "gif") and pixels.shape[2] == wanted.shape[2] - 1:
        wanted = wanted[
            ..., :-1
        ]  # an alpha that is opaque everywhere is left out, in a GIF what is nearly so, too
    if (pixels.shape, pixels.dtype) != (wanted.shape, wanted.dtype):
        yield f"written as {wanted.shape} {wanted.dtype}, read back as {pixels.shape} {pixels.dtype}"
    elif expected.container == "openexr":
        if expected.transfer != HLG and not _same_light(pixels, wanted):
            yield "pixels differ from what was written"
    elif kind.lossless and not np.array_equal(pixels, wanted):
        yield "pixels differ from what was written"
    if lost := [_NAMES[name] for name, same in _kept(expected, metadata).items() if not same]:
        yield f"{' and '.join(lost)} differs from what was written"


def _same_light(pixels: Pixels, wanted: Pixels) -> bool:
    """Equal to a code in 65,535 where the picture is opaque; elsewhere premultiplying has rounded."""
    off = np.abs(pixels.astype(np.int32) - wanted)
    return bool((off[wanted[..., 3] == 65535] if wanted.shape[2] == 4 else off).max(initial=0) <= 1)


def _kept(expected: Fitted, got: Metadata) -> dict[str, bool]:
    want = expected.metadata
    # TIFF and AVIF hold the same in another block; what is too large has been reduced, and a note has said so.
    rewritten = expected.container in ("tiff", "avif") or len(want.exif) > SURE_TO_FIT
    across, down = want.density or (0, 0)
    near = got.density is not None and max(abs(got.density[0] - across), abs(got.density[1] - down)) <= 0.51
    return {
        "exif": _same_portable(want.exif, got.exif) if rewritten else want.exif == got.exif,
        "xmp": want.xmp == got.xmp or len(want.xmp) > SURE_TO_FIT,
        "icc": want.icc == got.icc,
        "density": want.density is None or near,
        "segments": want.segments == got.segments,
    }


def _same_portable(want: bytes, got: bytes) -> bool:
    """Equal in the texts and the orientation; what lies below is there where it was."""
    a, b = portable(want), portable(got)
    a_first, b_first = ({274: 1, **each.first} for each in (a, b))
    return a_first == b_first and a.gps.keys() <= b.gps.keys() and a.camera.keys() <= b.camera.keys()
