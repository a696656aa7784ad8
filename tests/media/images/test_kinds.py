"""Each kind of picture file: what is written is read back whole, and files as others make them are read rightly."""

import struct
import sys
import zlib
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps
from support.pictures import assert_picture_or_one_line

from vsr.errors import SourceError
from vsr.media.images import codec
from vsr.media.images.kinds import KINDS, PICTURES, kind_of
from vsr.media.images.linear import PQ, SRGB, from_linear, to_linear
from vsr.media.images.metadata import CAMERA, GPS, Metadata, portable
from vsr.media.images.probe_image import is_image, probe_image, read
from vsr.media.images.probe_numbered import probe_numbered
from vsr.media.images.stream import ImageReport, ImageSink, ImageSource
from vsr.media.reading.numbered_source import NumberedSource


def smooth(channels: int, dtype: Any = np.uint8, size: tuple[int, int] = (30, 41)) -> np.ndarray:
    down, across = np.indices(size)
    waves = [np.sin(down / (3 + n)) + np.cos(across / (4 + n)) for n in range(channels)]
    return np.stack([(wave + 2) / 4 * np.iinfo(dtype).max for wave in waves], axis=2).astype(dtype)


def pixels_of(path: Path) -> np.ndarray:
    (frame,) = ImageSource(path).frames()
    return np.stack(frame.planes, axis=2)


def convert(source: Path, target: Path, quality: int = 75) -> ImageReport:
    reader = ImageSource(source)
    (frame,) = reader.frames()
    with ImageSink(target, source=reader.info, quality=quality) as sink:
        sink.write(frame)
    return sink.report


def test_every_lossless_kind_gives_back_what_it_was_given(tmp_path: Path):
    for ending, name in PICTURES.items():
        kind = KINDS[name]
        for channels in kind.channels if kind.lossless and name != "openexr" else ():
            for depth in kind.depths:
                if depth in (10, 12) and channels != 3:
                    continue
                given = smooth(channels, np.uint8 if depth == 8 else np.uint16) >> (
                    16 - depth if depth > 8 else 0
                )
                path = tmp_path / f"a{ending}"
                path.write_bytes(codec.encode_image(given, name, bit_depth=depth)[0])
                assert is_image(path), ending
                assert np.array_equal(pixels_of(path), given), (ending, channels, depth)
                assert probe_image(path).format.bit_depth == depth


def test_the_outputs_name_decides_and_what_it_cannot_hold_is_named(tmp_path: Path):
    given = smooth(4, np.uint16)
    (tmp_path / "a.png").write_bytes(codec.encode_image(given, "png")[0])
    for ending, name in PICTURES.items():
        report = convert(tmp_path / "a.png", tmp_path / f"b{ending}")
        kind, notes = KINDS[name], " ".join(report.notes)
        assert read(tmp_path / f"b{ending}")[1].container == name
        assert ("over white" in notes) == (4 not in kind.channels), ending
        assert ("reduced to 8" in notes) == (16 not in kind.depths), ending


@pytest.mark.parametrize(
    ("ending", "codec_name", "pixel_format"),
    [
        ("pcx", "pcx", "rgb24"),
        ("sgi", "sgi", "rgb24"),
        ("qoi", "qoi", "rgb24"),
        ("ras", "sunrast", "bgr24"),
    ],
)
def test_old_and_rare_kinds_are_pictures(tmp_path: Path, ending: str, codec_name: str, pixel_format: str):
    given = smooth(3)
    picture = av.VideoFrame.from_ndarray(given).reformat(format=pixel_format)
    picture.pts = 0
    encoder: Any = av.CodecContext.create(codec_name, "w")
    encoder.height, encoder.width, encoder.pix_fmt = *given.shape[:2], pixel_format
    encoder.time_base = Fraction(1)
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"".join(bytes(one) for one in [*encoder.encode(picture), *encoder.encode(None)]))
    assert is_image(path)
    assert np.array_equal(pixels_of(path), given)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    assert_picture_or_one_line(path)


@pytest.mark.parametrize(
    "begins",
    [
        b"\0\0\1\0\0\0\1\x20\0\xc4\x88\x80\x07\x50\x85\x20",  # MPEG-4 as a bare stream
        b"\0\0\1\0\0\x0f\xff\xf8\0\0\1\xb5\x8f\xff\xf3\x41\x80",  # MPEG-2 from a picture on
        b"\0\0\1\0moov\0\0\0\x6cmvhd\0\0\0\0\xd0\0\0\0",  # QuickTime with an atom of 256 bytes
        b"\x01\xda\x07\x09",
        b"\x0a\x05\x01\x03",
        b"DDS of somebody else",
    ],
)
def test_what_begins_like_a_rare_kind_is_none(begins: bytes):
    assert kind_of((begins + bytes(64))[:64]) is None
    assert kind_of((begins + b"\xff" * 64)[:64]) is None


@pytest.mark.parametrize("ending", ["ico", "dds"])
def test_pictures_with_opacity_of_kinds_that_are_only_read(tmp_path: Path, ending: str):
    given = smooth(4, size=(32, 32))
    path = tmp_path / f"a.{ending}"
    Image.fromarray(given).save(path, sizes=[(16, 16), (32, 32)])
    assert is_image(path)
    assert np.array_equal(pixels_of(path), given)
    report = convert(path, tmp_path / "b.png")
    assert report.notes == ()


def test_light_beyond_white_is_kept(tmp_path: Path):
    light = np.linspace(0, 1, 3 * 64 * 64, dtype=np.float32).reshape(64, 64, 3)
    for brightest, transfer in ((1.0, SRGB), (40.0, PQ)):
        path = tmp_path / "a.exr"
        path.write_bytes(
            codec.encode_image(from_linear(brightest * light, transfer), "openexr", transfer=transfer)[0]
        )
        info = probe_image(path)
        assert info.format.transfer == transfer
        assert any("times white" in note for note in info.notes) == (brightest > 1)
        got = to_linear(pixels_of(path), transfer)
        assert np.abs(got - brightest * light).max() < 4e-4 * brightest
        convert(path, tmp_path / "b.exr")
        assert np.abs(to_linear(pixels_of(tmp_path / "b.exr"), transfer) - got).max() < 4e-4 * brightest
    convert(path, tmp_path / "b.png")
    assert (b"cICP", bytes((1, 16, 0, 1))) in read(tmp_path / "b.png")[1].metadata.chunks
    assert any("does not say its colours" in note for note in convert(path, tmp_path / "b.webp").notes)


def test_numbered_pictures_of_light_are_coded_alike(tmp_path: Path):
    light = np.linspace(0, 1, 3 * 16 * 16, dtype=np.float32).reshape(16, 16, 3)
    for number, brightest in enumerate((1.0, 8.0, 1.0)):
        data = codec.encode_image(from_linear(brightest * light, PQ), "openexr", transfer=PQ)[0]
        (tmp_path / f"{number}.exr").write_bytes(data)
    pictures = tuple((number, tmp_path / f"{number}.exr") for number in range(3))
    source = NumberedSource(probe_numbered("x", pictures, None))
    for frame, brightest in zip(source.frames(), (1.0, 8.0, 1.0), strict=True):
        assert frame.format.transfer == PQ
        assert np.abs(to_linear(np.stack(frame.planes, axis=2), PQ) - brightest * light).max() < 4e-3
    settled = probe_numbered("x", pictures[::2], None)
    source = NumberedSource(replace(settled, pictures=pictures))
    assert [frame.format.transfer for frame in source.frames()] == [SRGB] * 3
    assert "1 pictures have light beyond white" in source.counts.notes[0]


def test_opacity_of_float_pictures_is_straight_here(tmp_path: Path):
    given = np.full((16, 16, 4), [50_000, 30_000, 10_000, 20_000], np.uint16)
    (tmp_path / "a.exr").write_bytes(codec.encode_image(given, "openexr")[0])
    assert np.abs(pixels_of(tmp_path / "a.exr").astype(int) - given).max() <= 1


def test_deep_avif_keeps_its_bits_and_says_its_colours(tmp_path: Path):
    for depth in (8, 10, 12):
        for channels in (3, 4):
            given = smooth(channels, np.uint8 if depth == 8 else np.uint16) >> (
                16 - depth if depth > 8 else 0
            )
            path = tmp_path / "a.avif"
            path.write_bytes(
                imagecodecs.avif_encode(given, level=100, bitspersample=depth, primaries=9, transfer=16)
            )
            format = probe_image(path).format
            assert (format.bit_depth, format.alpha) == (depth, channels == 4)
            assert (format.primaries, format.transfer) == ("bt2020", PQ)
            assert np.abs(pixels_of(path).astype(int) - given).max() <= 1 << (depth - 8)
    report = convert(path, tmp_path / "b.png")
    assert report.notes == ()
    assert (b"cICP", bytes((9, 16, 0, 1))) in read(tmp_path / "b.png")[1].metadata.chunks


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGB;16"])
def test_a_photo_of_a_phone_is_read_whole_and_upright(tmp_path: Path, mode: str):
    heif = pytest.importorskip("pillow_heif")
    given = smooth(len(mode.split(";")[0]), np.uint16 if "16" in mode else np.uint8, (200, 260))
    tiles, heif.options.GRID_TILE_SIZE = heif.options.GRID_TILE_SIZE, 128
    try:
        file = heif.from_bytes(mode=mode, size=(260, 200), data=given.tobytes())
        exif = Image.Exif()
        exif[274], exif[271] = 6, "Phone"
        file.save(tmp_path / "a.heic", quality=95, chroma=444, exif=exif.tobytes())
    finally:
        heif.options.GRID_TILE_SIZE = tiles
    assert mode == "RGBA" or b"grid" in (tmp_path / "a.heic").read_bytes()
    info = probe_image(tmp_path / "a.heic")
    depth = 10 if "16" in mode else 8
    assert (info.format.bit_depth, info.format.alpha, info.rotation) == (depth, mode == "RGBA", 0)
    upright = np.rot90(given, -1) >> (6 if "16" in mode else 0)
    assert np.abs(pixels_of(tmp_path / "a.heic").astype(int) - upright).mean() < 2 << (depth - 8)
    convert(tmp_path / "a.heic", tmp_path / "b.jpg")
    assert portable(read(tmp_path / "b.jpg")[1].metadata.exif).first[271] == "Phone"


def test_where_nothing_reads_a_photo_of_a_phone_it_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(40))
    with pytest.raises(
        SourceError, match=r"HEIC file is read where pillow-heif is installed: pip install 'vsr\[heic\]'"
    ):
        probe_image(tmp_path / "a.heic")


def test_tiff_as_others_write_it(tmp_path: Path):
    path = tmp_path / "a.tif"
    for dtype in (np.uint8, np.uint16):
        given = smooth(3, dtype)
        for planar in ("contig", "separate"):
            for tile in (None, (16, 32)):
                for compression in (None, "zlib", "lzw", "packbits", "zstd", "lzma"):
                    for byteorder in "<>":
                        data = given if planar == "contig" else given.transpose(2, 0, 1)
                        predictor = compression in ("zlib", "lzw")
                        tifffile.imwrite(
                            path, data, photometric="rgb", planarconfig=planar, tile=tile, compression=compression,
                            predictor=predictor, byteorder=byteorder, bigtiff=byteorder == ">", metadata=None,
                        )  # fmt: skip
                        assert np.array_equal(pixels_of(path), given), (dtype, planar, tile, compression)
    Image.fromarray(smooth(3)).convert("YCbCr").save(path, compression="tiff_lzw")
    assert np.abs(pixels_of(path).astype(int) - smooth(3)).max() < 5
    Image.fromarray(smooth(1)[..., 0] > 99).save(path, compression="group4")
    assert np.array_equal(pixels_of(path)[..., 0] > 0, smooth(1)[..., 0] > 99)


def test_odd_depths_of_tiff_are_widened_to_black_and_white(tmp_path: Path):
    for bits in (2, 4, 10, 12, 14):
        codes = (np.arange(64).reshape(8, 8) * ((1 << bits) - 1) // 63).astype(
            np.uint8 if bits < 8 else np.uint16
        )
        tifffile.imwrite(
            tmp_path / "a.tif", codes, bitspersample=bits, photometric="minisblack", metadata=None
        )
        got, full = pixels_of(tmp_path / "a.tif")[..., 0], 255 if bits < 8 else 65535
        assert np.abs(got.astype(int) - codes * (full / ((1 << bits) - 1))).max() <= 0.5


def test_a_tiff_that_unpacks_to_more_than_its_picture_is_refused(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", smooth(1)[..., 0], compression="zlib", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        places = [file.pages[0].tags[tag].valueoffset for tag in (273, 279)]  # type: ignore[union-attr]
    data = bytearray((tmp_path / "a.tif").read_bytes())
    bomb = zlib.compress(bytes(64 << 20))
    for place, value in zip(places, (len(data), len(bomb)), strict=True):
        struct.pack_into("<I", data, place, value)
    (tmp_path / "a.tif").write_bytes(data + bomb)
    with pytest.raises(SourceError, match="packed in a way"):
        pixels_of(tmp_path / "a.tif")
    tifffile.imwrite(
        tmp_path / "b.tif", np.zeros((8, 9, 40), np.uint8), photometric="rgb", planarconfig="contig"
    )
    with pytest.raises(SourceError, match="holds 40 uint8 samples"):
        probe_image(tmp_path / "b.tif")


def exif_of(camera: dict[int, Any], gps: dict[int, Any], **first: Any) -> bytes:
    exif = Image.Exif()
    exif.update({int(tag[1:]): value for tag, value in first.items()})
    exif.get_ifd(CAMERA).update(camera)
    exif.get_ifd(GPS).update(gps)
    return exif.tobytes().removeprefix(b"Exif\0\0")


def test_a_tiff_keeps_camera_settings_and_place(tmp_path: Path):
    camera, gps = (
        {33434: 0.01, 36867: "2020:01:02 03:04:05", 37500: b"maker's own"},
        {1: "N", 2: (52.0, 30.5, 1.0)},
    )
    metadata = Metadata(exif_of(camera, gps, _271="Maker", _274=8))
    (tmp_path / "a.jpg").write_bytes(codec.encode_image(smooth(3), "jpeg", metadata=metadata)[0])
    assert convert(tmp_path / "a.jpg", tmp_path / "b.tif").notes == ()
    assert convert(tmp_path / "b.tif", tmp_path / "c.jpg").notes == ()
    for name in ("b.tif", "c.jpg"):
        with Image.open(tmp_path / name) as image:
            got = image.getexif()
            got.get_ifd(CAMERA), got.get_ifd(GPS)
        assert (got[271], got[274]) == ("Maker", 8)
        assert camera.items() <= dict(got.get_ifd(CAMERA)).items()
        assert dict(got.get_ifd(GPS)) == gps


def test_exif_of_any_letters_and_blanks(tmp_path: Path):
    for text in (
        "José",
        "© 2024 ACME".encode().decode("latin-1"),
        "OLYMPUS CORPORATION    ",
        "日本".encode().decode("latin-1"),
    ):
        directory = struct.pack("<H", 1) + struct.pack("<HHII", 315, 2, len(text) + 1, 26) + bytes(4)
        exif = b"II*\0\x08\0\0\0" + directory + text.encode("latin-1") + b"\0"
        (tmp_path / "a.jpg").write_bytes(codec.encode_image(smooth(3), "jpeg", metadata=Metadata(exif))[0])
        for name in ("b.tif", "b.png", "b.webp", "b.avif", "b.jpg"):
            convert(tmp_path / "a.jpg", tmp_path / name)
            kept = portable(read(tmp_path / name)[1].metadata.exif).first[315]
            assert kept == text.rstrip(), name
    tifffile.imwrite(
        tmp_path / "c.tif",
        smooth(3),
        photometric="rgb",
        extratags=[(315, 2, 0, "José".encode() + b"\0", True)],
    )
    convert(tmp_path / "c.tif", tmp_path / "d.tif")
    assert "José".encode() in (tmp_path / "d.tif").read_bytes()


def test_density_goes_along(tmp_path: Path):
    Image.fromarray(smooth(3)).save(tmp_path / "a.jpg", dpi=(96, 120))
    names = ["a.jpg", "b.png", "c.tif", "d.bmp", "e.jpg"]
    for before, after in pairwise(names):
        assert convert(tmp_path / before, tmp_path / after).notes == ()
        assert read(tmp_path / after)[1].metadata.density == pytest.approx((96, 120), abs=0.02)
    tifffile.imwrite(
        tmp_path / "f.tif", smooth(3), photometric="rgb", resolution=(100, 100), resolutionunit="CENTIMETER"
    )
    convert(tmp_path / "f.tif", tmp_path / "g.jpg")
    with Image.open(tmp_path / "g.jpg") as image:
        assert image.info["dpi"] == (254, 254)
    assert "density left out" in convert(tmp_path / "f.tif", tmp_path / "g.webp").notes[0]


def test_comments_and_iptc_texts_stay_with_a_jpeg(tmp_path: Path):
    texts = b"\xff\xfe\0\x09A photo" + b"\xff\xed\0\x1ePhotoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\0\0\0"
    jpeg = codec.encode_image(smooth(3), "jpeg")[0]
    (tmp_path / "a.jpg").write_bytes(jpeg[:20] + texts + jpeg[20:])
    assert convert(tmp_path / "a.jpg", tmp_path / "b.jpg").notes == ()
    assert texts in (tmp_path / "b.jpg").read_bytes()
    assert "comments and IPTC texts left out" in convert(tmp_path / "a.jpg", tmp_path / "c.png").notes[0]


def test_what_cannot_say_how_it_is_turned_is_turned(tmp_path: Path):
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[274] = orientation
        image = Image.fromarray(smooth(3))
        image.save(tmp_path / "a.png", exif=exif)
        with Image.open(tmp_path / "a.png") as stored:
            shown = np.asarray(ImageOps.exif_transpose(stored))
        report = convert(tmp_path / "a.png", tmp_path / "b.bmp")
        assert np.array_equal(pixels_of(tmp_path / "b.bmp"), shown), orientation
        assert any("turned upright" in note for note in report.notes) == (orientation > 1)


def chunk(name: bytes, body: bytes, *, whole: bool = True) -> bytes:
    return (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body) ^ (not whole))
    )


def test_damage_beside_the_pixels_costs_a_line(tmp_path: Path):
    bare = codec.encode_image(smooth(3), "png")[0]
    jpeg = codec.encode_image(smooth(3), "jpeg", metadata=Metadata(xmp=b"<x/>" * 9))[0]
    files = {
        "profile.png": (
            bare[:33] + chunk(b"iCCP", b"none\0\0" + b"rubbish") + bare[33:],
            "colour profile is damaged",
        ),
        "text.png": (bare[:33] + chunk(b"tEXt", b"a\0b", whole=False) + bare[33:], "tEXt is damaged"),
        "end.png": (bare[:-12], "without its end mark"),
        "end.jpg": (jpeg[:-2], "without its end mark"),
        "junk.jpg": (jpeg[:20] + b"8BIM junk between" + jpeg[20:], "damaged near byte 20"),
    }
    for name, (data, line) in files.items():
        path = tmp_path / name
        path.write_bytes(data)
        assert line in " ".join(probe_image(path).notes), name
        assert np.abs(pixels_of(path).astype(int) - smooth(3)).max() < 12
        convert(path, tmp_path / f"out{path.suffix}")
    assert read(tmp_path / "junk.jpg")[1].metadata.xmp == b"<x/>" * 9
    (tmp_path / "end.jpg").write_bytes(jpeg[:-5])
    with pytest.raises(SourceError, match="is truncated"):
        pixels_of(tmp_path / "end.jpg")


def test_a_profile_that_unfolds_without_end_is_refused(tmp_path: Path):
    bare = codec.encode_image(smooth(3), "png")[0]
    profile = chunk(b"iCCP", b"bomb\0\0" + zlib.compress(bytes(65 << 20)))
    (tmp_path / "a.png").write_bytes(bare[:33] + profile + bare[33:])
    with pytest.raises(SourceError, match="colour profile of more than 64 MiB"):
        probe_image(tmp_path / "a.png")


def test_claims_of_size_are_refused_before_anything_is_decoded(tmp_path: Path):
    files = {
        "a.jxl": b"\xff\x0a"
        + (0b110 | (0x3FFFFFFF << 3) | (3 << 36) | (0x3FFFFFFF << 38)).to_bytes(12, "little"),
        "a.bmp": b"BM" + bytes(12) + struct.pack("<IiiHHIIiiII", 40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0),
        "a.dpx": bytearray(codec.encode_image(smooth(3), "dpx")[0]),
        "a.pgm": b"P5 90000 90000 255\n",
        "a.jp2": bytearray(codec.encode_image(smooth(3), "jpeg2000")[0]),
        "a.gif": b"GIF89a"
        + struct.pack("<HHBBB", 60000, 60000, 0, 0, 0)
        + b"\x2c"
        + struct.pack("<HHHHB", 0, 0, 60000, 60000, 0)
        + b"\x02\x02\x4c\x01\0;",
    }
    struct.pack_into(">II", files["a.dpx"], 772, 60000, 60000)
    struct.pack_into(">II", files["a.jp2"], files["a.jp2"].index(b"\xffO\xffQ") + 8, 60000, 60000)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SourceError, match=r"pixels") as caught:
            probe_image(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", [name for name, kind in KINDS.items() if kind.depths and name not in ("gif",)]
)
def test_damage_anywhere_gives_a_picture_or_one_clear_line(tmp_path: Path, name: str):
    rng = np.random.default_rng(5)
    depth = min(KINDS[name].depths)
    whole = codec.encode_image(smooth(3, np.uint8 if depth == 8 else np.uint16), name)[0]
    path = tmp_path / f"a{KINDS[name].endings.split()[0]}"
    for number in range(60):
        data = bytearray(whole)
        for at in rng.integers(0, min(len(data), 400), 4):
            data[at] = rng.integers(256)
        path.write_bytes(data[: rng.integers(1, len(data))] if number % 3 == 0 else data)
        assert_picture_or_one_line(path)


def test_what_others_read_is_what_was_written(tmp_path: Path):
    """Pillow and tifffile know nothing of us."""
    given = smooth(3)
    (tmp_path / "a.png").write_bytes(codec.encode_image(given, "png")[0])
    for ending in (".bmp", ".tga", ".ppm", ".jp2", ".tif", ".gif"):
        convert(tmp_path / "a.png", tmp_path / f"b{ending}")
        with Image.open(tmp_path / f"b{ending}") as image:
            got = np.asarray(image.convert("RGB")).astype(int)
        assert np.abs(got - given).mean() < (8 if ending == ".gif" else 1e-9), ending
