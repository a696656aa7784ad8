"""Pictures as streams of one frame: what is read, what is kept, what is refused."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from support.pictures import assert_picture_or_one_line

from vsr.errors import ConfigError, SinkError, SourceError, VerifyError
from vsr.frames import Frame, PictureFormat, StreamInfo
from vsr.media.images import codec, stream
from vsr.media.images.kinds import PICTURES
from vsr.media.images.metadata import ORIENTATION, Directories, Metadata, orientation_of, portable
from vsr.media.images.probe_image import is_image, probe_image, read
from vsr.media.images.stream import ImageSink, ImageSource

EXIF = Directories({ORIENTATION: 6, 271: "Maker", 306: "2020:01:02 03:04:05"}, {}, {}).block()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">' + b"y" * 301 + b"</x:xmpmeta>"
ICC = bytes(range(256)) * 300  # opaque to us, and larger than one JPEG segment
METADATA = Metadata(EXIF, XMP, ICC)


def picture(channels: int, dtype: type = np.uint8, size: tuple[int, int] = (30, 41)) -> np.ndarray:
    rng = np.random.default_rng(7)
    small = rng.random((6, 8, channels)).astype(np.float32)
    smooth = np.atleast_3d(cv2.resize(small, size[::-1], interpolation=cv2.INTER_LINEAR))
    return (smooth * np.iinfo(dtype).max).astype(dtype)


def write(path: Path, pixels: np.ndarray, metadata: Metadata = METADATA) -> Path:
    container = PICTURES[path.suffix]
    path.write_bytes(codec.encode_image(pixels, container, quality=90, metadata=metadata)[0])
    return path


def convert(source: Path, target: Path, quality: int = 75) -> tuple[Frame, stream.ImageReport]:
    reader = ImageSource(source)
    (frame,) = reader.frames()
    with ImageSink(target, source=reader.info, quality=quality) as sink:
        sink.write(frame)
    return frame, sink.report


def raw_png(kind: int, depth: int, rows: bytes, size: tuple[int, int], *chunks: tuple[bytes, bytes]) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", size[1], size[0], depth, kind, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("extension", [".png", ".tiff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_lossless_formats_keep_every_pixel_and_the_metadata(
    tmp_path: Path, extension: str, dtype: type, channels: int
):
    pixels = picture(channels, dtype)
    source = write(tmp_path / f"in{extension}", pixels)
    frame, report = convert(source, tmp_path / f"out{extension}")
    assert np.array_equal(np.stack(frame.planes, axis=2), pixels)
    assert frame.planes[0].dtype == dtype
    assert frame.format.bit_depth == 8 * np.dtype(dtype).itemsize
    assert frame.format.alpha == (channels in (2, 4))
    assert frame.format.layout == ("gray" if channels <= 2 else "rgb")
    data, header = read(tmp_path / f"out{extension}")
    assert np.array_equal(codec.decode_image(data, header), pixels)
    assert header.metadata == METADATA
    assert report.notes == ()
    assert report.num_bytes == len(data)


@pytest.mark.parametrize("extension", [".jpg", ".webp"])
def test_lossy_formats_keep_metadata_byte_for_byte_and_pixels_closely(tmp_path: Path, extension: str):
    source = write(tmp_path / f"in{extension}", picture(3))
    frame, report = convert(source, tmp_path / f"out{extension}")
    data, header = read(tmp_path / f"out{extension}")
    assert header.metadata == METADATA
    assert np.abs(codec.decode_image(data, header).astype(int) - np.stack(frame.planes, axis=2)).max() < 25
    assert report.notes == ()


def test_other_decoders_open_what_we_splice(tmp_path: Path):
    for name in ("a.png", "a.jpg", "a.webp"):
        data = write(tmp_path / name, picture(3)).read_bytes()
        decoded, kinds, blocks = cv2.imdecodeWithMetadata(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert decoded.shape == (30, 41, 3)
        found = {int(kind): bytes(np.asarray(block)) for kind, block in zip(kinds, blocks, strict=True)}
        assert found[cv2.IMAGE_METADATA_EXIF] == EXIF
        if name != "a.png":  # libpng refuses a made-up profile
            assert found[cv2.IMAGE_METADATA_ICCP] == ICC


def test_rgb_is_described_fully(tmp_path: Path):
    info = probe_image(write(tmp_path / "a.png", picture(3, np.uint16)))
    assert (info.kind, info.container, info.codec, info.pixel_format) == ("image", "png", "png", "rgb48le")
    assert info.format == PictureFormat(
        30, 41, 16, "rgb", matrix="gbr", range="full", primaries="bt709", transfer="iec61966-2-1"
    )
    assert info.rotation == 270
    assert info.num_frames == 1


def test_a_palette_becomes_rgb(tmp_path: Path):
    palette = bytes([255, 0, 0, 0, 255, 0, 0, 0, 255])
    rows = b"".join(b"\0" + bytes([0, 1, 2, 1]) for _ in range(3))
    path = tmp_path / "a.png"
    path.write_bytes(raw_png(3, 8, rows, (3, 4), (b"PLTE", palette)))
    (frame,) = ImageSource(path).frames()
    assert frame.format.layout == "rgb"
    assert [tuple(int(p[0, x]) for p in frame.planes) for x in range(3)] == [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
    ]
    path.write_bytes(raw_png(3, 8, rows, (3, 4), (b"PLTE", palette), (b"tRNS", bytes([9, 200]))))
    (frame,) = ImageSource(path).frames()
    assert frame.planes[3][0].tolist() == [9, 200, 255, 200]


def test_one_bit_becomes_black_and_white(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(raw_png(0, 1, b"\0\xaa" * 2, (2, 8)))
    (frame,) = ImageSource(path).frames()
    assert frame.planes[0][0].tolist() == [255, 0] * 4
    tifffile.imwrite(tmp_path / "b.tif", np.eye(16, dtype=bool), photometric="miniswhite")
    (frame,) = ImageSource(tmp_path / "b.tif").frames()
    assert frame.planes[0][0, :2].tolist() == [0, 255]


@pytest.mark.parametrize(
    ("depth", "key", "row"), [(8, 7, bytes([7, 8])), (4, 7, b"\x78"), (16, 600, b"\2\x58\2\x59")]
)
def test_a_grey_that_means_transparent_becomes_alpha(tmp_path: Path, depth: int, key: int, row: bytes):
    path = tmp_path / "a.png"
    path.write_bytes(raw_png(0, depth, b"\0" + row, (1, 2), (b"tRNS", struct.pack(">H", key))))
    (frame,) = ImageSource(path).frames()
    assert frame.format.layout == "gray"
    assert frame.format.alpha
    assert frame.planes[1][0].tolist() == [0, 255 if depth <= 8 else 65535]


def test_cmyk_is_converted_and_says_so(tmp_path: Path):
    pil = pytest.importorskip("PIL.Image")
    pil.new("CMYK", (32, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95, icc_profile=ICC)
    info = probe_image(tmp_path / "a.jpg")
    assert any("CMYK" in note for note in info.notes)
    frame, _ = convert(tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert frame.planes[0].mean() > 240
    assert frame.planes[1].mean() < 10
    assert read(tmp_path / "b.jpg")[1].metadata.icc == b""


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg", "packbits", "tiff_adobe_deflate"])
def test_tiff_compressions_are_read_and_never_turned(tmp_path: Path, compression: str):
    pil = pytest.importorskip("PIL.Image")
    pixels = picture(3)
    pil.fromarray(pixels).save(tmp_path / "a.tif", compression=compression, tiffinfo={274: 6})
    source = ImageSource(tmp_path / "a.tif")
    (frame,) = source.frames()
    assert source.info.rotation == 270
    assert np.abs(np.stack(frame.planes, axis=2).astype(int) - pixels).mean() < (
        3 if compression == "jpeg" else 1e-9
    )


def test_what_jpeg_cannot_hold_is_named(tmp_path: Path):
    pixels = picture(4, np.uint16)
    pixels[..., 3] = 0
    _, report = convert(write(tmp_path / "a.png", pixels), tmp_path / "b.jpg")
    assert any("16 bits" in note for note in report.notes)
    assert any("over white" in note for note in report.notes)
    data, header = read(tmp_path / "b.jpg")
    assert codec.decode_image(data, header).min() > 250


def test_what_webp_and_tiff_cannot_hold_is_named(tmp_path: Path):
    source = write(tmp_path / "a.png", picture(1, np.uint16), Metadata())
    assert [note.split()[0] for note in convert(source, tmp_path / "b.webp")[1].notes] == ["16", "grey"]
    foreign = Metadata(exif=Directories({271: "MAKER", 50341: b"private"}, {}, {}).block())
    assert (
        "of EXIF, 1 field"
        in convert(write(tmp_path / "c.jpg", picture(3), foreign), tmp_path / "d.tiff")[1].notes[0]
    )
    assert portable(read(tmp_path / "d.tiff")[1].metadata.exif).first[271] == "MAKER"


def test_an_exif_block_too_large_for_jpeg_leaves_the_orientation(tmp_path: Path):
    source = write(tmp_path / "a.png", picture(3), Metadata(exif=EXIF + b"\0" * 70_000))
    _, report = convert(source, tmp_path / "b.jpg")
    assert "larger than a JPEG" in report.notes[0]
    assert orientation_of(read(tmp_path / "b.jpg")[1].metadata.exif) == 6


def test_png_colour_and_text_chunks_stay_in_png_and_are_named_elsewhere(tmp_path: Path):
    metadata = Metadata(chunks=((b"gAMA", struct.pack(">I", 45455)), (b"tEXt", b"Author\0me")))
    source = write(tmp_path / "a.png", picture(3), metadata)
    convert(source, tmp_path / "b.png")
    assert read(tmp_path / "b.png")[1].metadata == metadata
    assert "gAMA, tEXt" in convert(source, tmp_path / "c.webp")[1].notes[0]


def test_webp_keeps_transparency(tmp_path: Path):
    pixels = picture(4)
    convert(write(tmp_path / "a.webp", pixels), tmp_path / "b.webp", quality=100)
    _data, header = read(tmp_path / "b.webp")
    assert header.alpha
    assert header.metadata == METADATA
    pixels[..., 3] = 255
    frame, _ = convert(write(tmp_path / "c.png", pixels), tmp_path / "d.webp", quality=100)
    assert len(frame.planes) == 4


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".tiff"])
def test_cut_files_give_one_clear_error(tmp_path: Path, extension: str, capfd: pytest.CaptureFixture[str]):
    data = write(tmp_path / f"whole{extension}", picture(3, size=(200, 300)), Metadata()).read_bytes()
    path = tmp_path / f"a{extension}"
    for size in (4, 20, 60, len(data) // 2, len(data) - 20):
        path.write_bytes(data[:size])
        with pytest.raises(SourceError, match="a" + extension) as caught:
            list(ImageSource(path).frames())
        assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_damaged_png_is_found_before_decoding(tmp_path: Path):
    data = bytearray(write(tmp_path / "a.png", picture(3)).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(SourceError, match="damaged"):
        probe_image(tmp_path / "a.png")


@pytest.mark.parametrize("content", [b"", b"just text, no picture\n", b"MThd" + bytes(40)])
def test_other_files_are_no_pictures(tmp_path: Path, content: bytes):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    assert not is_image(path)
    with pytest.raises(SourceError, match=r"PNG, JPEG, WebP, TIFF, .* are accepted"):
        probe_image(path)
    with pytest.raises(SourceError, match="cannot be read"):
        probe_image(tmp_path / "absent.png")


def test_content_decides_not_the_extension(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(write(tmp_path / "a.webp", picture(3)).read_bytes())
    assert is_image(tmp_path / "a.txt")
    assert probe_image(tmp_path / "a.txt").container == "webp"
    (tmp_path / "a.txt").rename(tmp_path / "a.mjpeg")
    assert not is_image(tmp_path / "a.mjpeg")  # a video of JPEG files


def test_a_bomb_is_refused_before_decoding(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(raw_png(2, 8, b"", (50_000, 50_000)))
    with pytest.raises(SourceError, match="50000x50000"):
        probe_image(path)


def test_pages_of_tiff_are_noted(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        for _ in range(2):
            file.write(picture(1)[..., 0], photometric="minisblack", metadata=None)
    assert "only the first" in probe_image(tmp_path / "b.tif").notes[0]


def test_floats_become_sixteen_bits_and_what_lies_beyond_is_told(tmp_path: Path):
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    for dtype in (np.float16, np.float32, np.float64):
        tifffile.imwrite(tmp_path / "a.tif", ramp.astype(dtype), photometric="minisblack")
        (frame,) = ImageSource(tmp_path / "a.tif").frames()
        assert np.abs(frame.planes[0] - ramp * 65535.0).max() < (20 if dtype is np.float16 else 1)
    tifffile.imwrite(tmp_path / "a.tif", 2 * ramp - 0.5, photometric="minisblack")
    assert "from -0.5 to 1.5" in probe_image(tmp_path / "a.tif").notes[0]
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.int32))
    with pytest.raises(SourceError, match="whole numbers of 1 to 16 bits, or floats"):
        probe_image(tmp_path / "a.tif")


def test_premultiplied_tiff_becomes_straight(tmp_path: Path):
    pixels = np.full((8, 8, 4), [50, 60, 70, 128], np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["assocalpha"])
    (frame,) = ImageSource(tmp_path / "a.tif").frames()
    assert [int(plane[0, 0]) for plane in frame.planes] == [100, 120, 139, 128]


def frame_of(pixels: np.ndarray) -> tuple[Frame, StreamInfo]:
    format = PictureFormat(*pixels.shape[:2], layout="rgb", matrix="gbr", range="full")
    info = StreamInfo("x", "video", "mp4", "h264", "yuv420p", format)
    return Frame(tuple(pixels[..., c] for c in range(3)), format), info


def test_nothing_is_left_after_an_error(tmp_path: Path):
    frame, info = frame_of(picture(3))
    with pytest.raises(RuntimeError), ImageSink(tmp_path / "a.png", source=info, quality=75) as sink:  # noqa: PT012
        sink.write(frame)
        raise RuntimeError("engine")
    with pytest.raises(SinkError, match="second"), ImageSink(tmp_path / "a.png", source=info) as sink:  # noqa: PT012
        sink.write(frame)
        sink.write(frame)
    with pytest.raises(SinkError, match="no frame"), ImageSink(tmp_path / "a.png", source=info):
        pass
    assert list(tmp_path.iterdir()) == []
    with (
        pytest.raises(SinkError, match="does not exist"),
        ImageSink(tmp_path / "no" / "a.png", source=info) as sink,
    ):
        sink.write(frame)
    with pytest.raises(ConfigError, match="webp"):
        ImageSink(tmp_path / "a.heic", source=info)


def test_too_large_for_webp_is_refused(tmp_path: Path):
    frame, info = frame_of(np.zeros((2, 17_000, 3), np.uint8))
    with pytest.raises(SinkError, match="PNG and TIFF"), ImageSink(tmp_path / "a.webp", source=info) as sink:
        sink.write(frame)


def test_a_picture_that_reads_back_differently_stays_unverified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    frame, info = frame_of(picture(3))
    other = codec.encode_image(255 - picture(3), "png", quality=75, metadata=Metadata())
    monkeypatch.setattr(stream.codec, "encode_image", lambda *_, **__: other)
    with pytest.raises(VerifyError, match="differ"), ImageSink(tmp_path / "a.png", source=info) as sink:
        sink.write(frame)
    assert [path.name for path in tmp_path.iterdir()] == ["a.unverified.png"]


def test_ten_bit_frames_become_sixteen(tmp_path: Path):
    format = PictureFormat(2, 2, 10, "gray", range="full")
    info = StreamInfo("x", "video", "mkv", "hevc", "gray10le", format)
    with ImageSink(tmp_path / "a.png", source=info) as sink:
        sink.write(Frame((np.array([[0, 1023], [512, 1]], np.uint16),), format))
    (frame,) = ImageSource(tmp_path / "a.png").frames()
    assert frame.planes[0].tolist() == [[0, 65535], [32800, 64]]


def test_quality_sets_the_size(tmp_path: Path):
    source = write(tmp_path / "a.png", picture(3, size=(200, 300)), Metadata())
    sizes = [convert(source, tmp_path / "b.jpg", quality)[1].num_bytes for quality in (0, 40, 75, 100)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".tiff"])
def test_random_damage_gives_a_picture_or_one_clear_error(tmp_path: Path, extension: str):
    rng = np.random.default_rng(3)
    whole = write(tmp_path / f"whole{extension}", picture(3), Metadata(EXIF, XMP)).read_bytes()
    path = tmp_path / "a.bin"
    for _ in range(150):
        data = bytearray(whole)
        for at in rng.integers(0, min(len(data), 600), 4):
            data[at] = rng.integers(256)
        path.write_bytes(data)
        assert_picture_or_one_line(path)
