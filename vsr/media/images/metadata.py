"""What a picture file says beside its pixels: its header, and what travels along (EXIF, XMP, profile, density).

EXIF blocks are Pillow's to read; they travel byte for byte wherever a format holds them whole.
"""

import struct
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Any, Literal

import numpy.typing as npt
from PIL import Image, TiffImagePlugin, TiffTags

from vsr.errors import one_line

Color = Literal["gray", "rgb", "palette", "cmyk"]

Pixels = npt.NDArray[Any]
"""(height, width, channels), RGB order, alpha last; uint8, or uint16 with the value in the low bits."""

MAX_PIXELS = 200_000_000
"""More than any camera's sensor; a file that claims more is a mistake or an attack."""

MAX_METADATA = 64 << 20
"""Bytes that a compressed profile or text may unfold to."""

SURE_TO_FIT = 65_000
"""Bytes of EXIF or XMP that every kind holds that holds such at all: a JPEG's segments have 64 KiB."""

TICK = Fraction(1, 100_000)
"""Seconds, in which the times of frames that move are counted: APNG's may last 1/30 s, others' whole milliseconds."""

ORIENTATION = 274
"""Tag of the way the stored picture is turned and mirrored, 1 to 8 (TIFF 6.0, page 36)."""

PORTABLE = (ORIENTATION, 270, 271, 272, 305, 306, 315, 316, 33432)
"""Of a block's first directory what means the same in a TIFF: orientation, description, make, model,
software, date, artist, computer, copyright."""

CAMERA, GPS = 34665, 34853
"""Tags of the directories below: camera settings, place."""

TURNS = {3: 180, 4: 180, 5: 90, 6: 270, 7: 270, 8: 90}
"""Degrees counter-clockwise by orientation; 2, 4, 5 and 7 are mirrored left to right before the turn."""


class DamagedError(Exception):
    """The file is broken or of a kind that is not read; the text completes the sentence "the file ..."."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What travels beside the pixels; empty where absent."""

    exif: bytes = b""
    """From the byte order mark on."""
    xmp: bytes = b""
    icc: bytes = b""
    density: tuple[float, float] | None = None
    """Pixels an inch across and down."""
    segments: bytes = b""
    """A JPEG's comments and IPTC texts, as they lie in the file."""
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    """Further PNG chunks (name, body) that only a PNG can hold."""

    def named(self) -> dict[str, Any]:
        """What is there, by the fields' names."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name))}


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture file says about itself before it is decoded."""

    container: str
    """A name of `kinds.KINDS`."""
    height: int
    width: int
    bit_depth: int = 8
    """8, 10, 12 or 16; other depths are widened to the next of these."""
    color: Color = "rgb"
    alpha: bool = False
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()
    primaries: str = "bt709"
    transfer: str = "iec61966-2-1"
    num_frames: int = 1
    """More than one where it moves."""
    ticks: tuple[int, ...] = ()
    """How long each frame of a picture that moves is shown, in `TICK`s."""
    plays: int = 0
    """How often it is played; 0 for ever."""
    unpacked: int = 0
    """Bytes that its decoder unpacks at once, where that is more than its pixels."""

    @property
    def decoded_bytes(self) -> int:
        """What decoding it takes: its pixels, of one that moves three frames, or what the decoder unpacks."""
        pixels = self.height * self.width * self.num_channels * (1 if self.bit_depth == 8 else 2)
        return max(self.unpacked, pixels * (3 if self.num_frames > 1 else 1))

    @property
    def num_channels(self) -> int:
        return (1 if self.color == "gray" else 3) + self.alpha


warnings.filterwarnings("ignore", module=r"PIL\.")  # else its remarks on damage go to stderr


@contextmanager
def taken_for_damage(what: str = "it cannot be read") -> Generator[None]:
    """Whatever a library trips over in a file is the file's damage; each has errors of its own, and leaks others."""
    try:
        yield
    except DamagedError:
        raise
    except Exception as error:
        raise DamagedError(f"is damaged: {what} ({one_line(error, 120)})") from error


def read_exif(exif: bytes) -> Image.Exif:
    """Read a block, from its byte order mark on; of one that makes no sense nothing."""
    tags = Image.Exif()
    try:
        tags.load(exif)
        tags.get(ORIENTATION)
    except Exception:  # Pillow leaks whatever its parsing trips over
        return Image.Exif()
    return tags


def _directory(exif: Image.Exif, number: int | None) -> dict[int, Any]:
    try:
        return dict(exif if number is None else exif.get_ifd(number))
    except Exception:
        return {}


def orientation_of(exif: bytes) -> int:
    """Tell the orientation, 1 to 8; 1 (upright) where the block does not say."""
    value = _directory(read_exif(exif), None).get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def density_of(exif: bytes) -> tuple[float, float] | None:
    """Tell the pixels an inch across and down; None where the block does not say."""
    tags = _directory(read_exif(exif), None)
    return density(tags.get(282), tags.get(283), tags.get(296, 2))


def density(across: Any, down: Any, unit: Any) -> tuple[float, float] | None:
    """Pixels an inch, of two numbers and TIFF's unit (2 inch, 3 centimetre)."""
    try:
        factor = {2: 1.0, 3: 2.54}[int(unit)]
        found = float(across) * factor, float(down) * factor
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return found if min(found) > 0 and max(found) < 1e6 else None


@dataclass(frozen=True, slots=True)
class Directories:
    """Of an EXIF block what a TIFF holds, too: values by tag, texts as Latin-1 reads their bytes."""

    first: dict[int, Any]
    camera: dict[int, Any]
    gps: dict[int, Any]

    def below(self, offset: int) -> tuple[bytes, dict[int, int]]:
        """Camera settings and place as they lie at `offset` of a file, and where each begins, by its tag."""
        data, places = b"", dict[int, int]()
        for tag, values in ((CAMERA, self.camera), (GPS, self.gps)):
            if values:
                places[tag] = offset + len(data)
                data += _directory_bytes(values, places[tag])
        return data, places

    def block(self) -> bytes:
        """A block of these alone; empty where there are none."""
        below, places = self.below(8)
        if not (self.first or places):
            return b""
        at = 8 + len(below)
        return b"II*\0" + struct.pack("<I", at) + below + _directory_bytes({**self.first, **places}, at)


def portable(exif: bytes) -> Directories:
    """Tell what of a block survives in a TIFF. Also takes a TIFF file itself, which begins as a block does."""
    tags = read_exif(exif)
    first = {tag: value for tag, value in _directory(tags, None).items() if tag in PORTABLE}
    below = [_directory(tags, each) for each in (CAMERA, GPS)]
    return Directories(*(_tidy(values) for values in (first, *below)))


def num_beyond(exif: bytes) -> int:
    """How many fields of a block `portable` leaves out: what a TIFF says otherwise aside, and a preview as one."""
    tags = read_exif(exif)
    elsewhere = {*PORTABLE, CAMERA, GPS, *range(256, 300), 529, 530, 531, 532}
    interoperability = 40965 in _directory(tags, CAMERA)
    return len(_directory(tags, None).keys() - elsewhere) + interoperability + bool(_directory(tags, 1))


def _tidy(values: dict[int, Any]) -> dict[int, Any]:
    """Without what is empty, the blanks that pad texts, and pointers to directories further below."""
    stripped = {
        tag: v.rstrip(" \0") if isinstance(v, str) else v for tag, v in values.items() if tag != 40965
    }
    return {tag: value for tag, value in stripped.items() if value not in (None, "", b"")}


def _directory_bytes(values: dict[int, Any], offset: int) -> bytes:
    """A directory as it lies at an even `offset` of a little-endian TIFF."""
    made = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    for tag, value in values.items():
        if isinstance(value, str):
            made.tagtype[tag] = TiffTags.ASCII
            value = value.encode("latin-1", "replace")  # else letters beyond ASCII become question marks
        elif isinstance(value, bytes):
            made.tagtype[tag] = TiffTags.UNDEFINED
        made[tag] = value
    data = made.tobytes(offset)
    return data + b"\0" * (len(data) % 2)
