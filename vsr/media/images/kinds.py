"""The kinds of picture files: how each is told, what it can hold, which endings mean it. One table."""

from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True, slots=True)
class PictureKind:
    """One kind of picture file."""

    endings: str
    begins: tuple[bytes, ...] = ()
    """What such files begin with; none where it takes more to tell."""
    depths: tuple[int, ...] = (8, 16)
    """Bits a sample that are written, rising; none where such files are only read."""
    channels: tuple[int, ...] = (1, 2, 3, 4)
    """Grey, grey with opacity, RGB, RGB with opacity: those that are written."""
    lossless: bool = True
    holds: str = ""
    """Which fields of `Metadata` are written."""
    moves: bool = False
    """Such a file may hold several pictures with times."""
    max_edge: int = 1 << 30


_OPAQUE, _COLOURED, _NO_GRAY_ALPHA = (1, 3), (3, 4), (1, 3, 4)

KINDS = {
    "png": PictureKind(
        ".png .apng", (b"\x89PNG\r\n\x1a\n",), holds="exif xmp icc density chunks", moves=True
    ),
    "jpeg": PictureKind(
        ".jpg .jpeg .jfif .jpe",
        (b"\xff\xd8\xff",),
        (8,),
        _OPAQUE,
        lossless=False,
        holds="exif xmp icc density segments",
        max_edge=65_500,
    ),
    "webp": PictureKind(
        ".webp", (), (8,), _COLOURED, lossless=False, holds="exif xmp icc", moves=True, max_edge=16_383
    ),
    "tiff": PictureKind(".tif .tiff", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), holds="exif xmp icc density"),
    "avif": PictureKind(
        ".avif .avifs", (), (8,), _COLOURED, lossless=False, holds="exif xmp icc", moves=True, max_edge=65_536
    ),
    "heic": PictureKind(".heic .heif .hif", (), ()),
    "gif": PictureKind(
        ".gif", (b"GIF87a", b"GIF89a"), (8,), _COLOURED, lossless=False, moves=True, max_edge=65_535
    ),
    "bmp": PictureKind(".bmp .dib", (), (8,), _COLOURED, holds="density"),
    "tga": PictureKind(".tga", (), (8,), _NO_GRAY_ALPHA, max_edge=65_535),
    "pnm": PictureKind(".pnm .ppm .pgm .pbm", tuple(b"P%d" % n for n in range(1, 7)), channels=_OPAQUE),
    "pam": PictureKind(".pam", (b"P7",)),
    "jpeg2000": PictureKind(".jp2 .j2k", (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xffO\xffQ")),
    "jpegxl": PictureKind(".jxl", (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")),
    "openexr": PictureKind(".exr", (b"v/1\x01",), (16,), _NO_GRAY_ALPHA),
    "dpx": PictureKind(".dpx", (b"SDPX", b"XPDS"), (8, 10, 12, 16), _NO_GRAY_ALPHA),
    "psd": PictureKind(".psd", (b"8BPS\0\1",), ()),
    "ico": PictureKind(".ico", (), ()),
    "pcx": PictureKind(".pcx", tuple(b"\x0a%c\x01%c" % each for each in product(range(6), (1, 2, 4, 8))), ()),
    "sgi": PictureKind(".sgi", tuple(b"\x01\xda%c%c" % each for each in product((0, 1), (1, 2))), ()),
    "sun": PictureKind(".ras .sun", (b"\x59\xa6\x6a\x95",), ()),
    "qoi": PictureKind(".qoi", (b"qoif",), ()),
    "dds": PictureKind(".dds", (b"DDS \x7c\0\0\0",), ()),
}

READABLE = {ending: name for name, kind in KINDS.items() for ending in kind.endings.split()}
"""PictureKind by the ending of a file that is read, as a folder is searched for; the content decides in the end."""

PICTURES = {ending: name for ending, name in READABLE.items() if KINDS[name].depths}
"""PictureKind by the output's ending."""

TITLES = {
    "jpeg2000": "JPEG 2000",
    "jpegxl": "JPEG XL",
    "openexr": "OpenEXR",
    "webp": "WebP",
    "sun": "Sun raster",
}


def title(name: str) -> str:
    """A kind's name as people write it."""
    return TITLES.get(name, name.upper())


BEGINNING = 64
"""Bytes by which a file's kind is told."""

_BRANDS = {
    b"avif": "avif",
    b"avis": "avif",
    b"heic": "heic",
    b"heix": "heic",
    b"heim": "heic",
    b"heis": "heic",
}
_HEIF = (b"mif1", b"msf1", b"miaf")
"""Brands that say that more is said by the others."""


def kind_of(head: bytes, ending: str = "") -> str | None:
    """Tell a file's kind by its first `BEGINNING` bytes, and by its ending where these say nothing (TGA)."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    if head[:2] == b"BM" and head[14:15] in b"\x0c\x28\x34\x38\x40\x6c\x7c" and head[15:18] == b"\0\0\0":
        return "bmp"
    if _is_ico(head):
        return "ico"
    if ending.lower() == ".tga" and _may_be_tga(head):
        return "tga"
    if head[:1] == b"P" and not head[2:3].isspace():
        return None
    return next((name for name, kind in KINDS.items() if kind.begins and head.startswith(kind.begins)), None)


def _by_brand(head: bytes) -> str | None:
    """ISO 23008-12: a first brand, a version, further brands to the end of the box."""
    brands = [head[8:12]] + [
        head[at : at + 4] for at in range(16, min(int.from_bytes(head[:4], "big"), len(head)), 4)
    ]
    if brands[0] in _BRANDS:
        return _BRANDS[brands[0]]
    named = (_BRANDS[brand] for brand in brands if brand in _BRANDS) if brands[0] in _HEIF else iter(())
    return next(named, None)


def _is_ico(head: bytes) -> bool:
    """Its signature is also a start code of MPEG and an atom's size: the first picture must be described as one."""
    count, planes, bits, offset = (
        int.from_bytes(head[begin:end], "little") for begin, end in ((4, 6), (10, 12), (12, 14), (18, 22))
    )
    described = head[9:10] == b"\0" and planes <= 1 and bits in (0, 1, 4, 8, 16, 24, 32)
    return head[:4] == b"\0\0\1\0" and 0 < count <= 256 and described and offset >= 6 + 16 * count


def _may_be_tga(head: bytes) -> bool:
    """Truevision TGA 2.0 has no signature: a known type and depth, and a size."""
    return (
        len(head) >= 18
        and head[1] <= 1
        and head[2] in (1, 2, 3, 9, 10, 11)
        and head[16] in (8, 15, 16, 24, 32)
    )
