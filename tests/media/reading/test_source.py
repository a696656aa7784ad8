"""`VideoSource` gives every frame once, with its own time and its own samples, and closes what it opens."""

import gc
import random
import threading
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from support.clips import plane_view, read_number, run_ffmpeg

from vsr.errors import SourceError
from vsr.frames import Frame, PictureFormat
from vsr.media.pixels import PlanarConverter, make_av_frame, make_frame, pixel_format, read_planes, reading
from vsr.media.reading.source import ListSource, VideoSource
from vsr.options import ReadOptions

MakeClip = Callable[..., Path]

VARIABLE = [0, 10, 35, 36, 80, 81, 150, 400, 401, 460]


def read(path: Path, **options: object) -> list[Frame]:
    return list(VideoSource(path, ReadOptions(**options), threads=1).frames())  # type: ignore[arg-type]


def numbers(frames: list[Frame]) -> list[int]:
    return [read_number(frame.planes[0]) for frame in frames]


def notes_of(path: Path) -> list[str]:
    """Lines for the user, but those on colour."""
    source = VideoSource(path, threads=1)
    assert list(source.frames())
    return source.counts.notes


def times(frames: list[Frame]) -> list[int]:
    return [frame.pts for frame in frames]


def decoded(path: Path, index: int) -> list[tuple[int | None, tuple[int, int]]]:
    """Times and sizes by a plain PyAV loop, independent of the code under test."""
    with av.open(str(path)) as container:
        container.streams[index].codec_context.thread_count = 1
        return [
            (frame.pts, (frame.height, frame.width)) for frame in container.decode(container.streams[index])
        ]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.ts", "a.avi", "a.flv"])
@pytest.mark.parametrize("b_frames", [0, 3])
def test_constant_rate_keeps_every_frame(make_clip: MakeClip, name: str, b_frames: int):
    frames = read(make_clip(name, num_frames=30, b_frames=b_frames, gop=12))
    assert numbers(frames) == list(range(30))
    steps = {after - before for before, after in zip(times(frames), times(frames)[1:], strict=False)}
    assert len(steps) == 1


def test_variable_rate_keeps_every_time(make_clip: MakeClip):
    clip = make_clip(pts=VARIABLE, time_base=Fraction(1, 1000), b_frames=2)
    frames = read(clip)
    assert times(frames) == VARIABLE
    assert numbers(frames) == list(range(len(VARIABLE)))
    assert frames[0].time_base == Fraction(1, 1000)


def test_start_offset_is_never_rebased(make_clip: MakeClip):
    clip = make_clip(time_base=Fraction(1, 1000), start_pts=730, b_frames=2, audio=True)
    assert times(read(clip)) == [730 + 40 * n for n in range(12)]


def test_single_frame(make_clip: MakeClip):
    assert numbers(read(make_clip(num_frames=1))) == [0]


def test_frames_may_be_read_again_and_outlive_the_file(make_clip: MakeClip):
    source = VideoSource(make_clip(), threads=2)
    first, second = list(source.frames()), list(source.frames())
    assert numbers(first) == numbers(second) == list(range(12))
    assert source.counts.frames == 12
    assert source.counts.notes == []


# Trims


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("open_gop", ["0", "1"])
def test_trim_is_exact_to_the_frame(make_clip: MakeClip, name: str, open_gop: str):
    options = {
        "x264-params": f"open-gop={open_gop}:keyint=8:min-keyint=8:scenecut=0:bframes=3:b-pyramid=normal"
    }
    clip = make_clip(name, num_frames=40, codec_options=options | {"preset": "fast"})
    whole = read(clip)
    for first in range(40):
        trimmed = read(clip, start=f"{first * 0.04:.2f}", frames=2)
        assert numbers(trimmed) == list(range(first, min(first + 2, 40)))
        assert times(trimmed) == times(whole[first : first + 2])
        for frame, same in zip(trimmed, whole[first:], strict=False):
            assert all(np.array_equal(a, b) for a, b in zip(frame.planes, same.planes, strict=True))


def test_trim_excludes_its_end(make_clip: MakeClip):
    clip = make_clip(num_frames=25)
    assert numbers(read(clip, start="0.2", end="0.4")) == [5, 6, 7, 8, 9]
    assert numbers(read(clip, start="0.96")) == [24]
    assert numbers(read(clip, end="0.05")) == [0, 1]
    assert numbers(read(clip, frames=3)) == [0, 1, 2]


def test_trim_of_variable_rate_starts_at_the_next_frame(make_clip: MakeClip):
    clip = make_clip(pts=VARIABLE, time_base=Fraction(1, 1000), b_frames=2, gop=3)
    assert times(read(clip, start="0.0355")) == VARIABLE[3:]
    assert times(read(clip, start="0.081", end="0.401")) == [81, 150, 400]


def test_trim_counts_from_the_start_of_the_container(make_clip: MakeClip):
    # FFmpeg rounds a start of 2/3 s up to whole microseconds, which would lose the frame 0.04 s later.
    offset = make_clip(time_base=Fraction(1, 75), start_pts=50)
    assert numbers(read(offset, start="0.04")) == list(range(1, 12))
    late_video = make_clip("b.mp4", time_base=Fraction(1, 1000), start_pts=500, audio=True)
    assert times(read(late_video, start="0.58")) == [580 + 40 * n for n in range(10)]


def test_trim_beyond_the_end_names_the_duration(make_clip: MakeClip):
    with pytest.raises(SourceError, match=r"no frame from 00:01:00; it lasts 0\.480 s"):
        read(make_clip(), start="00:01:00")


# Samples


LOSSLESS = {
    # source format: layout, bit depth
    "yuv420p": ("yuv420", 8), "yuv422p": ("yuv422", 8), "yuv444p": ("yuv444", 8), "gray": ("gray", 8),
    "yuv420p9le": ("yuv420", 10), "yuv420p10le": ("yuv420", 10), "yuv422p10le": ("yuv422", 10),
    "yuv444p10le": ("yuv444", 10), "yuv420p12le": ("yuv420", 12), "yuv444p12le": ("yuv444", 12),
    "gray9le": ("gray", 10), "gray10le": ("gray", 10), "gray12le": ("gray", 12), "gray16le": ("gray", 16),
    "bgr0": ("rgb", 8), "gbrp9le": ("rgb", 10), "gbrp10le": ("rgb", 10), "gbrp12le": ("rgb", 12),
    "gray14le": ("gray", 16), "gbrp14le": ("rgb", 16), "gbrp16le": ("rgb", 16), "rgb48le": ("rgb", 16),
    "yuva420p": ("yuv420", 8),
    "yuv411p": ("yuv422", 8), "yuv410p": ("yuv420", 8), "yuv440p": ("yuv444", 8), "bgra": ("rgb", 8),
    "yuv444p16le": ("yuv444", 12), "yuv422p14le": ("yuv422", 12), "yuva444p10le": ("yuv444", 10),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSLESS)
def test_each_pixel_format_is_read(name: str):
    """Every sample of a random picture comes through, scaled by a power of two at most."""
    how = reading(name)
    assert (how.layout, how.bit_depth) == LOSSLESS[name]
    picture = random_picture(name, 34, 46)
    format = PictureFormat(
        34, 46, how.bit_depth, how.layout, range="full" if how.layout == "rgb" else "limited"
    )
    planes = read_planes(PlanarConverter(format).convert(picture), format)
    bits = av.VideoFormat(name).components[0].bits
    for index, (plane, source) in enumerate(zip(planes, source_planes(picture, name), strict=False)):
        assert plane.shape == format.plane_size(index)
        assert plane.dtype == (np.uint8 if how.bit_depth == 8 else np.uint16)
        if source.shape == plane.shape:
            deeper, shallower = max(0, how.bit_depth - bits), max(0, bits - how.bit_depth)
            expected = source.astype(int) << deeper >> shallower
            if deeper and how.layout == "rgb":
                expected |= source.astype(int) >> (bits - deeper)
            # swscale dithers where samples lose bits; everything else is exact.
            assert np.abs(plane.astype(int) - expected).max() <= (1 if shallower else 0), index


def random_picture(name: str, height: int, width: int) -> av.VideoFrame:
    picture = av.VideoFrame(width, height, name)
    noise = np.random.default_rng(1)
    wide = av.VideoFormat(name).components[0].bits > 8
    bits = av.VideoFormat(name).components[0].bits
    for plane in picture.planes:
        memory = np.frombuffer(plane, np.uint16 if wide else np.uint8)  # type: ignore[call-overload]
        memory[:] = noise.integers(0, 1 << bits, memory.size)
    return picture


def source_planes(picture: av.VideoFrame, name: str) -> list[np.ndarray]:
    """The picture's samples in our order, by an independent path."""
    packed = {"bgr0": (2, 1, 0), "bgra": (2, 1, 0), "rgb48le": (0, 1, 2)}
    if name in packed:
        plane = picture.planes[0]
        dtype, count = (np.uint16, 3) if name == "rgb48le" else (np.uint8, 4)
        rows = np.frombuffer(plane, dtype).reshape(picture.height, -1)  # type: ignore[call-overload]
        rows = rows[:, : picture.width * count].reshape(picture.height, picture.width, count)
        return [rows[:, :, channel] for channel in packed[name]]
    views = [plane_view(picture, index) for index in range(len(picture.planes))]
    return [views[2], views[0], views[1]] if name.startswith("gbr") else views


@pytest.mark.parametrize(
    ("name", "twin"),
    [("nv12", "yuv420p"), ("p010le", "yuv420p10le"), ("yuyv422", "yuv422p"), ("nv24", "yuv444p")],
)
@pytest.mark.parametrize("range_code", [1, 2])
def test_packed_formats_lose_nothing(name: str, twin: str, range_code: int):
    planar = random_picture(twin, 34, 46)
    planar.color_range = range_code
    packed = planar.reformat(format=name, src_color_range=range_code, dst_color_range=range_code, threads=1)
    packed.color_range = range_code
    how = reading(name)
    format = PictureFormat(34, 46, how.bit_depth, how.layout, range="full" if range_code == 2 else "limited")
    got = read_planes(PlanarConverter(format).convert(packed), format)
    for index, plane in enumerate(got):
        assert np.array_equal(plane, plane_view(planar, index)), index


@pytest.mark.parametrize(
    ("codec", "name"),
    [("ffv1", "yuv420p"), ("ffv1", "bgr0"), ("ffv1", "gbrp10le"), ("ffv1", "gray"), ("ffv1", "yuv444p12le"),
     ("rawvideo", "nv12"), ("rawvideo", "rgb24"), ("libx264", "yuvj420p"), ("rawvideo", "gray")],
)  # fmt: skip
@pytest.mark.parametrize("size", [(48, 64), (37, 51)])
def test_each_pixel_format_of_a_file(make_clip: MakeClip, codec: str, name: str, size: tuple[int, int]):
    if codec == "libx264" and size[0] % 2:
        size = (38, 50)
    frames = read(
        make_clip("a.mkv" if codec != "rawvideo" else "a.nut", codec=codec, pixel_format=name, size=size)
    )
    assert numbers(frames) == list(range(12))
    if frames[0].format.layout == "rgb":
        assert all(read_number(plane) == 5 for plane in frames[5].planes)
        assert frames[0].planes[0].min() == 0
        assert frames[0].format.range == "full"
    for index, plane in enumerate(frames[0].planes):
        assert plane.shape == frames[0].format.plane_size(index)


def test_palette_is_read_as_rgb(make_clip: MakeClip, tmp_path: Path):
    clip = tmp_path / "palette.nut"
    palette = "split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=none"
    run_ffmpeg("-i", make_clip(), "-vf", palette, "-c:v", "rawvideo", "-pix_fmt", "pal8", clip)
    source = VideoSource(clip, threads=1)
    assert source.info.pixel_format == "pal8"
    assert source.info.format.layout == "rgb"
    assert numbers(list(source.frames())) == list(range(12))


@pytest.mark.parametrize("name", ["yuv420p10le", "yuv444p12le"])
def test_many_bits_keep_distinct_values(make_clip: MakeClip, tmp_path: Path, name: str):
    clip = tmp_path / "ramp.mkv"
    bits = av.VideoFormat(name).components[0].bits
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, name
        picture = av.VideoFrame(64, 64, name)
        ramp = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) % (1 << bits)
        for index in range(3):
            view = plane_view(picture, index)
            view[...] = ramp[: view.shape[0], : view.shape[1]]
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    (frame,) = read(clip)
    assert np.array_equal(frame.planes[0], ramp)
    assert len(np.unique(frame.planes[0])) == 1 << bits


def test_planes_are_views_of_the_decoder_memory(make_clip: MakeClip):
    frame = next(VideoSource(make_clip(), threads=1).frames())
    assert all(plane.base is not None and not plane.flags.owndata for plane in frame.planes)


@pytest.mark.parametrize("layout", ["yuv420", "yuv422", "yuv444", "gray", "rgb"])
@pytest.mark.parametrize("bit_depth", [8, 10, 12, 16])
@pytest.mark.parametrize("alpha", [False, True])
def test_frame_to_av_frame_and_back(layout: str, bit_depth: int, alpha: bool):
    format = PictureFormat(
        13, 17, bit_depth, layout, alpha, matrix="bt709", range="full", primaries="bt709", transfer="bt709"
    )  # type: ignore[arg-type]
    if alpha and (
        (bit_depth == 12 and layout in ("yuv420", "gray")) or (bit_depth == 10 and layout == "gray")
    ):
        with pytest.raises(SourceError, match="no pixel format"):
            pixel_format(format)
        return
    noise = np.random.default_rng(2)
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    planes = tuple(
        noise.integers(0, 1 << bit_depth, format.plane_size(i), dtype=dtype, endpoint=False) if bit_depth != 16
        else noise.integers(0, 65536, format.plane_size(i)).astype(np.uint16)
        for i in range(format.num_planes)
    )  # fmt: skip
    frame = Frame(planes, format, pts=7, time_base=Fraction(1, 90000), duration=3)
    picture = make_av_frame(frame)
    assert (picture.pts, picture.time_base, picture.colorspace, picture.color_range) == (
        7,
        Fraction(1, 90000),
        1,
        2,
    )
    back = make_frame(picture, format)
    assert (back.pts, back.time_base, back.duration) == (7, Fraction(1, 90000), 3)
    assert all(np.array_equal(a, b) for a, b in zip(back.planes, planes, strict=True))


# Interlaced


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mpg", "mpeg2video"), ("a.ts", "libx264")]
)
@pytest.mark.parametrize("order", ["tff", "bff"])
def test_interlaced_is_deinterlaced_one_for_one(make_clip: MakeClip, name: str, codec: str, order: str):
    clip = make_clip(name, codec=codec, interlaced=order, size=(64, 64), num_frames=10)
    source = VideoSource(clip, threads=1)
    frames = list(source.frames())
    raw = read(clip, deinterlace="off")
    assert numbers(frames) == numbers(raw) == list(range(10))
    assert times(frames) == times(raw)
    assert [f.duration for f in frames] == [f.duration for f in raw]
    assert source.counts.deinterlaced == 10
    assert frames[0].time_base == raw[0].time_base


def test_deinterlacing_removes_combing(tmp_path: Path):
    clip = tmp_path / "combed.mp4"
    moving = "testsrc2=s=64x64:r=50:d=0.4,interlace=scan=tff"
    run_ffmpeg(
        "-f", "lavfi", "-i", moving, "-c:v", "libx264", "-flags", "+ildct+ilme", "-x264-params", "tff=1", clip
    )

    def combing(frame: Frame) -> float:
        rows = frame.planes[0].astype(int)
        return float(np.abs(rows[2:] - rows[:-2]).mean() - np.abs(rows[1:] - rows[:-1]).mean())

    assert combing(read(clip)[4]) > combing(read(clip, deinterlace="off")[4])


def test_progressive_is_left_alone_unless_told(make_clip: MakeClip):
    clip = make_clip(num_frames=6)
    source = VideoSource(clip, threads=1)
    plain = list(source.frames())
    assert source.counts.deinterlaced == 0
    forced = VideoSource(clip, ReadOptions(deinterlace="on"), threads=1)
    assert times(list(forced.frames())) == times(plain)
    assert forced.counts.deinterlaced == 6


def test_trim_of_interlaced_is_exact(make_clip: MakeClip):
    clip = make_clip(interlaced="tff", size=(64, 64), num_frames=20, gop=5)
    whole, trimmed = read(clip), read(clip, start="0.28", frames=3)
    assert numbers(trimmed) == [7, 8, 9]
    assert np.array_equal(trimmed[0].planes[0], whole[7].planes[0])


# Damage


def test_change_of_size_is_resampled_and_counted(make_clip: MakeClip, tmp_path: Path):
    joined = tmp_path / "joined.h264"
    parts: list[bytes] = []
    for index, size in enumerate([(48, 64), (96, 128), (48, 64)]):
        part = tmp_path / f"part{index}.h264"
        clip = make_clip(
            f"{index}.mp4", size=size, num_frames=5, codec_options={"x264-params": "repeat-headers=1"}
        )
        run_ffmpeg("-i", clip, "-c", "copy", "-bsf:v", "h264_mp4toannexb", part)
        parts.append(part.read_bytes())
    joined.write_bytes(b"".join(parts))
    source = VideoSource(joined, threads=1)
    frames = list(source.frames())
    assert numbers(frames) == [0, 1, 2, 3, 4] * 3
    assert {frame.planes[0].shape for frame in frames} == {(96, 128)}, "the largest of the first minute"
    assert source.counts.resampled == 10
    assert any("another size" in note for note in source.counts.notes)
    assert all(after > before for before, after in zip(times(frames), times(frames)[1:], strict=False))


def damaged(clip: Path, which: int) -> Path:
    with av.open(str(clip)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    position, size = packets[which]
    assert position is not None
    data = bytearray(clip.read_bytes())
    data[position : position + size] = b"\xff" * size
    clip.write_bytes(data)
    return clip


@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9", "mpeg4", "mjpeg"])
@pytest.mark.parametrize("which", [6, -3])
def test_damaged_packet_is_counted_and_the_rest_comes(make_clip: MakeClip, codec: str, which: int):
    name = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    clip = damaged(make_clip(codec=codec, pixel_format=name, num_frames=20, gop=20), which)
    results: list[list[int]] = []
    for threads in (1, 4):
        source = VideoSource(clip, threads=threads)
        results.append(times(list(source.frames())))
        assert source.counts.corrupt_packets + source.counts.concealed >= 1
        assert any("damaged" in note for note in source.counts.notes)
    assert results[0] == results[1], "frame threads lose sound pictures behind a damaged packet"
    assert len(results[0]) >= 16
    assert set(results[0]) <= set(range(20))


def test_random_damage_never_moves_the_pictures_after_it(make_clip: MakeClip):
    clip = make_clip(num_frames=40, gop=10, size=(96, 128))
    data = bytearray(clip.read_bytes())
    noise = random.Random(3)
    for index in range(int(len(data) * 0.45), int(len(data) * 0.55)):
        data[index] = noise.randrange(256)
    clip.write_bytes(data)
    frames = read(clip)
    assert all(
        number == time for number, time in zip(numbers(frames), times(frames), strict=True) if time > 30
    )
    assert times(frames)[-1] == 39


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_cut_off_file_gives_what_is_there_and_a_note(make_clip: MakeClip, name: str):
    codec = {"a.webm": "libvpx-vp9"}.get(name, "libx264")
    clip = make_clip(
        name,
        codec=codec,
        num_frames=40,
        gop=10,
        container_options={"movflags": "faststart"} if name == "a.mp4" else {},
    )
    data = clip.read_bytes()
    clip.write_bytes(data[: int(len(data) * 0.6)])
    source = VideoSource(clip, threads=2)
    frames = list(source.frames())
    assert 10 < len(frames) < 40
    assert numbers(frames)[:10] == list(range(10))
    assert any("cut off" in note for note in source.counts.notes)


def test_cut_off_pictures_are_noted_where_sound_goes_along(make_clip: MakeClip):
    clip = make_clip("plain.mkv", num_frames=60, gop=10, audio=True)
    whole = clip.with_name("a.mkv")  # muxed by FFmpeg, which says how long each stream lasts
    run_ffmpeg("-i", clip, "-c", "copy", whole)
    assert notes_of(whole) == []
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    assert any("cut off" in note for note in notes_of(whole))


def test_a_subtitle_after_the_last_picture_is_no_cut(make_clip: MakeClip, tmp_path: Path):
    text, both = tmp_path / "a.srt", tmp_path / "both.mkv"
    text.write_text("1\n00:00:00,000 --> 00:00:09,000\nlong\n")
    run_ffmpeg("-i", make_clip("a.mkv"), "-i", text, "-map", "0", "-map", "1", "-c:v", "copy", both)
    assert notes_of(both) == []


@pytest.mark.parametrize("hidden", [3, 25])
def test_an_edit_list_that_hides_pictures_is_no_cut(make_clip: MakeClip, hidden: int):
    """QuickTime's editors trim without encoding; those before the key frame in use are not even in the index."""
    clip = make_clip("a.mp4", num_frames=40, gop=10, time_base=Fraction(1, 1000))
    data = bytearray(clip.read_bytes())
    at = data.find(b"elst") + 16  # version and flags, number of entries, duration; then the time it begins at
    begin = int.from_bytes(data[at : at + 4], "big")  # the delay of B-frames
    data[at : at + 4] = (begin + hidden * 40).to_bytes(4, "big")
    clip.write_bytes(data)
    assert numbers(read(clip))[0] == hidden
    assert notes_of(clip) == []


def test_repeated_times_are_spread_and_none_is_lost(tmp_path: Path, make_clip: MakeClip):
    """A muxer that wrote the same time twice: the second frame takes the next free tick."""
    clip = make_clip("a.nut", codec="ffv1", pts=[0, 40, 41, 120, 160], time_base=Fraction(1, 1000))
    twin = tmp_path / "twice.mkv"
    run_ffmpeg("-i", clip, "-c", "copy", "-bsf:v", "setts=ts=if(eq(N\\,2)\\,40\\,PTS)", twin)
    source = VideoSource(twin, threads=1)
    frames = list(source.frames())
    assert numbers(frames) == [0, 1, 2, 3, 4]
    assert times(frames) == [0, 40, 41, 120, 160]
    assert source.counts.retimed == 1
    assert source.counts.dropped == 0


def test_joined_files_keep_going_forward(make_clip: MakeClip, tmp_path: Path):
    part = make_clip("a.ts", num_frames=60).read_bytes()
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part * 2)
    frames = read(joined)
    assert numbers(frames) == list(range(60)) * 2
    assert {after - before for before, after in zip(times(frames), times(frames)[1:], strict=False)} == {3600}


@pytest.mark.parametrize(
    ("codec", "name"), [("libx264", "yuv420p"), ("mpeg4", "yuv420p"), ("mjpeg", "yuvj420p")]
)
def test_avi_damage_never_moves_the_pictures_after_it(make_clip: MakeClip, codec: str, name: str):
    """AVI stores no presentation times; a lost picture must not make all later ones early."""
    clip = make_clip(
        "a.avi", codec=codec, pixel_format=name, num_frames=40, gop=10, b_frames=2 * (codec == "libx264")
    )
    whole = read(clip)
    frames = read(damaged(clip, 13))
    assert len(frames) >= 30
    after = [
        (number, time) for number, time in zip(numbers(frames), times(frames), strict=True) if number >= 30
    ]
    assert after == list(zip(numbers(whole), times(whole), strict=True))[30:]


def test_file_without_a_decodable_picture_is_an_error(make_clip: MakeClip):
    clip = make_clip(codec="mpeg4", num_frames=3, gop=1)
    for which in range(3):
        damaged(clip, which)
    with pytest.raises(SourceError, match="no picture"):
        read(clip)


# Life and death


def open_files() -> int:
    gc.collect()  # what other tests left open
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def threads_of_process() -> int:
    folder = Path("/proc/self/task")
    return len(list(folder.iterdir())) if folder.is_dir() else threading.active_count()


@pytest.mark.parametrize("interlaced", ["", "tff"])
def test_early_stop_closes_the_file_and_its_threads(make_clip: MakeClip, interlaced: str):
    clip = make_clip(num_frames=30, size=(64, 64), interlaced=interlaced)
    source = VideoSource(clip, threads=4)
    before = open_files(), threads_of_process()
    for taken in (1, 5):
        frames = source.frames()
        for _ in range(taken):
            next(frames)
        assert open_files() > before[0]
        frames.close()
        assert (open_files(), threads_of_process()) == before


def test_end_closes_the_file(make_clip: MakeClip):
    source = VideoSource(make_clip(), threads=2)
    before = open_files(), threads_of_process()
    list(source.frames())
    assert (open_files(), threads_of_process()) == before


def test_nothing_is_opened_before_the_first_frame_is_wanted(make_clip: MakeClip):
    source = VideoSource(make_clip())
    before = open_files()
    frames = source.frames()
    assert open_files() == before
    frames.close()


def test_list_source_gives_what_it_was_given(make_clip: MakeClip):
    frames = read(make_clip())
    source = ListSource(frames)
    assert list(source.frames()) == frames
    assert list(source.frames()) == frames
    assert (source.info.num_frames, source.info.pixel_format, source.info.start_pts) == (12, "yuv420p", 0)
    with pytest.raises(SourceError, match="no format"):
        ListSource([])


# Real clips


def assert_every_frame(clips: list[Path]):
    assert clips
    for clip in clips:
        source = VideoSource(clip, threads=1)
        got = [(frame.pts, frame.planes[0].shape) for frame in source.frames()]
        assert got == decoded(clip, source.info.stream_index), clip.name
        assert source.counts.notes == [], clip.name


def test_every_small_real_clip_keeps_every_frame(test_data: Path):
    assert_every_frame(
        [clip for clip in sorted((test_data / "clips").iterdir()) if clip.stat().st_size < 500_000]
    )


@pytest.mark.slow
def test_every_large_real_clip_keeps_every_frame(test_data: Path):
    assert_every_frame(
        [clip for clip in sorted((test_data / "clips").iterdir()) if clip.stat().st_size >= 500_000]
    )


@pytest.mark.parametrize(
    "name",
    [
        "torchcodec_bt2020_10bit.mp4",
        "torchcodec_testsrc2_av1_10bit.mp4",
        "torchcodec_var_fps_video.mp4",
        "intel_book.mkv",
    ],
)
def test_trims_of_real_clips_are_exact(test_data: Path, name: str):
    clip = test_data / "clips" / name
    whole = [(frame.pts, zlib.crc32(frame.planes[0].tobytes())) for frame in read(clip)]
    origin = 0 if name != "intel_book.mkv" else whole[0][0]
    base = VideoSource(clip).info.time_base
    for first in (1, len(whole) // 2, len(whole) - 1):
        seconds = (whole[first][0] - origin) * base
        micro = -(-seconds.numerator * 1_000_000 // seconds.denominator)
        start = f"{micro // 1_000_000}.{micro % 1_000_000:06d}"
        expected = [entry for entry in whole if (entry[0] - origin) * base >= Fraction(start)][:3]
        if expected:
            got = [(f.pts, zlib.crc32(f.planes[0].tobytes())) for f in read(clip, start=start, frames=3)]
            assert got == expected
