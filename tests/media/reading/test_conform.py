"""What changes in the middle of a file is brought to what it began with, and counted; nothing is squashed."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from support.clips import read_number, run_ffmpeg

from vsr.color import chroma_scale, luma_scale
from vsr.frames import Frame
from vsr.media import VideoSource, probe
from vsr.options import ReadOptions

MakeClip = Callable[..., Path]
RED = {  # limited 8-bit codes of saturated red
    "smpte170m": (81, 90, 240),
    "bt709": (63, 102, 240),
}


def joined(folder: Path, parts: Sequence[Path], ending: str) -> Path:
    """Bare streams, one after the other, as broadcasts and joined files have them."""
    whole = folder / f"joined{ending}"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    return whole


def flat(path: Path, colour: tuple[int, int, int], tags: str = "", *, pixels: str = "yuv420p") -> Path:
    """A clip of one colour, coded without loss; `colour` are codes of 8 bits."""
    y, u, v = colour
    drawn = f"nullsrc=s=64x48:r=25:d=0.2,format=yuv420p,geq=lum={y}:cb={u}:cr={v},format={pixels}"
    source = ",".join([drawn, *([f"setparams={tags}"] if tags else [])])
    run_ffmpeg("-f", "lavfi", "-i", source, "-c:v", "libx264", "-qp", "0", path)
    return path


def tagged(matrix: str, primaries: str = "", transfer: str = "", range: str = "tv") -> str:
    """Arguments of FFmpeg's `setparams`; options of the encoder would have it convert."""
    rest = f"color_primaries={primaries or matrix}:color_trc={transfer or matrix}:range={range}"
    return f"colorspace={matrix}:{rest}"


def read(path: Path, **options: Any) -> tuple[VideoSource, list[Frame]]:
    source = VideoSource(path, ReadOptions(**options), threads=1)
    return source, list(source.frames())


def middle(frame: Frame) -> list[float]:
    """Nominal values in the middle of the picture."""
    scales = [luma_scale(frame.format), *[chroma_scale(frame.format)] * 2]
    values = [float(plane[plane.shape[0] // 2, plane.shape[1] // 2]) for plane in frame.planes]
    return [(value - zero) / span for value, (zero, span) in zip(values, scales, strict=True)]


@pytest.mark.parametrize(("first", "second"), [("bt709", "smpte170m"), ("smpte170m", "bt709")])
def test_another_matrix_is_converted(tmp_path: Path, first: str, second: str):
    parts = [flat(tmp_path / f"{name}.ts", RED[name], tagged(name)) for name in (first, second)]
    source, frames = read(joined(tmp_path, parts, ".ts"))
    assert [frame.format.matrix for frame in frames] == [first] * 10
    for frame in (frames[0], frames[-1]):
        assert middle(frame) == pytest.approx(middle(frames[0]), abs=0.006)
    assert source.counts.recoloured == 5
    assert any("5 pictures of other colours" in note for note in source.counts.notes)


def test_another_range_is_converted(tmp_path: Path):
    grey = {"tv": (126, 128, 128), "pc": (128, 128, 128)}
    for first, second in (("tv", "pc"), ("pc", "tv")):
        parts = [flat(tmp_path / f"{n}.264", grey[n], tagged("bt709", range=n)) for n in (first, second)]
        source, frames = read(joined(tmp_path, parts, ".264"))
        assert middle(frames[-1])[0] == pytest.approx(middle(frames[0])[0], abs=0.006)
        assert source.counts.recoloured == 5


@pytest.mark.slow  # swscale takes seconds to make a table of it
def test_another_transfer_is_converted(tmp_path: Path):
    # White for SDR and for PQ (203 cd/m², BT.2408), in codes of 8 bits
    sdr = tagged("bt2020nc", "bt2020", "bt2020-10")
    pq = tagged("bt2020nc", "bt2020", "smpte2084")
    white = {"sdr": ((235, 128, 128), sdr), "pq": ((16 + round(0.58 * 219), 128, 128), pq)}
    for first, second in (("sdr", "pq"), ("pq", "sdr")):
        parts = [flat(tmp_path / f"{n}.264", *white[n], pixels="yuv420p10le") for n in (first, second)]
        source, frames = read(joined(tmp_path, parts, ".264"))
        assert middle(frames[-1])[0] == pytest.approx(middle(frames[0])[0], abs=0.02)
        assert source.counts.recoloured == 5


def test_rgb_and_ycc_in_one_file(tmp_path: Path):
    rgb = tmp_path / "rgb.264"
    run_ffmpeg(
        "-f", "lavfi", "-i", "color=0xff0000:s=48x64:r=25:d=0.2", "-c:v", "libx264rgb", "-qp", "0", rgb
    )
    ycc = flat(tmp_path / "ycc.264", RED["bt709"], tagged("bt709"))
    for parts, expected in (([rgb, ycc], (255, 0, 0)), ([ycc, rgb], RED["bt709"])):
        source, frames = read(joined(tmp_path, parts, ".264"))
        got = [int(plane[plane.shape[0] // 2, plane.shape[1] // 2]) for plane in frames[-1].planes]
        assert got == pytest.approx(expected, abs=3)
        assert source.counts.fitted == source.counts.resampled == 5
        assert source.counts.recoloured == 0


def test_colours_of_a_picture_are_not_those_of_the_next_sequence(tmp_path: Path, make_clip: MakeClip):
    """FFmpeg gives pictures that say nothing the decoder's tags, and this is ahead where pictures are reordered."""
    first = make_clip("0.ts", num_frames=8, gop=8, b_frames=2, size=(64, 64))
    second = make_clip("1.ts", num_frames=8, gop=8, b_frames=2, matrix="bt709", range="full", size=(64, 64))
    source, frames = read(joined(tmp_path, [first, second], ".ts"))
    assert len(frames) == 16
    assert source.counts.recoloured == 8


def test_what_is_not_said_or_the_same_under_another_name_is_left_alone(tmp_path: Path):
    colour = RED["smpte170m"]
    parts = [
        flat(tmp_path / "a.264", colour, tagged("smpte170m")),
        flat(tmp_path / "b.264", colour),
        flat(tmp_path / "c.264", colour, tagged("bt470bg", "smpte170m", "bt709")),
    ]
    source, frames = read(joined(tmp_path, parts, ".264"))
    assert {tuple(int(plane[0, 0]) for plane in frame.planes) for frame in frames} == {colour}
    assert source.counts.recoloured == source.counts.fitted == 0


def content(frame: Frame) -> tuple[int, int, int, int]:
    """Top, left, height, width of what is not black."""
    bright = frame.planes[0] > 40
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    return int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


WHITE = (235, 128, 128)


def test_another_shape_gets_bars(tmp_path: Path, make_clip: MakeClip):
    parts = [
        make_clip(f"{number}.ts", size=size, num_frames=5, gop=5)
        for number, size in enumerate([(48, 96), (96, 48), (48, 48)])
    ]
    source, frames = read(joined(tmp_path, parts, ".ts"))
    assert {frame.planes[0].shape for frame in frames} == {(48, 96)}
    assert [read_number(frames[n].planes[0]) for n in (0, 4)] == [0, 4]
    # 48x96 upright becomes 24 wide, 48x48 stays 48 wide; even places, for chroma
    for frame, left, width in ((frames[7], 36, 24), (frames[12], 24, 48)):
        inner = frame.planes[0][:, left : left + width]
        assert read_number(inner) == 2
        assert (np.delete(frame.planes[0], np.s_[left : left + width], axis=1) == 16).all()
        assert (np.delete(frame.planes[1], np.s_[left // 2 : (left + width) // 2], axis=1) == 128).all()
    assert (source.counts.fitted, source.counts.resampled) == (10, 10)
    assert any("10 pictures of another shape" in note for note in source.counts.notes)


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
@pytest.mark.parametrize("threads", [1, 3])
def test_pixels_of_another_shape_get_bars(tmp_path: Path, make_clip: MakeClip, codec: str, threads: int):
    parts = [
        make_clip(f"{n}.ts", codec=codec, size=(64, 96), num_frames=6, gop=6, sample_aspect=aspect)
        for n, aspect in enumerate([Fraction(1), Fraction(3, 2)])
    ]
    source = VideoSource(joined(tmp_path, parts, ".ts"), threads=threads)
    frames = list(source.frames())
    assert source.info.format.sample_aspect == 1
    heights = [content(frame)[2] for frame in frames if read_number(frame.planes[0]) in (0, 1, 2, 3, 4, 5)]
    assert source.counts.fitted == 6
    assert [frame.planes[0][0].mean() > 20 for frame in frames] == [True] * 6 + [False] * 6
    assert heights


def test_the_largest_size_of_the_first_minute_is_made(tmp_path: Path, make_clip: MakeClip):
    for codec, ending in (("libx264", ".ts"), ("mpeg2video", ".ts"), ("libx265", ".hevc")):
        parts: list[Path] = []
        for number, size in enumerate([(48, 64), (96, 128)]):
            clip = make_clip(f"{number}.mkv", codec=codec, size=size, num_frames=12, gop=4)
            parts.append(tmp_path / f"{number}{ending}")
            run_ffmpeg("-i", clip, "-c", "copy", parts[-1])
        whole = joined(tmp_path, parts, ending)
        info = probe(whole)
        assert (info.format.height, info.format.width) == (96, 128)
        assert "the pictures change their size: 64x48 at first, 128x96 in the first minute" in info.notes
        source, frames = read(whole)
        assert {frame.planes[0].shape for frame in frames} == {(96, 128)}
        assert read_number(frames[3].planes[0]) == 3
        assert source.counts.fitted == 0
        assert source.counts.resampled == 12


def test_a_decoder_gives_what_it_holds_back_before_another_size(tmp_path: Path):
    parts = []
    for number, size in enumerate(("64x48", "96x64")):
        parts.append(tmp_path / f"{number}.m4v")
        drawn = ("-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d=0.4")
        run_ffmpeg(*drawn, "-c:v", "mpeg4", "-bf", "2", "-g", "6", "-f", "m4v", parts[-1])
    source, frames = read(joined(tmp_path, parts, ".m4v"))
    assert len(frames) == 20
    assert source.counts.resampled == 10


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_fields_are_not_mixed(tmp_path: Path, make_clip: MakeClip, codec: str):
    large = make_clip("0.ts", codec=codec, size=(96, 128), num_frames=4, gop=4)
    lines = tmp_path / "1.ts"
    drawn = "nullsrc=s=64x48:r=25:d=0.16,format=yuv420p,geq=lum='if(mod(Y,2),16,235)':cb=128:cr=128"
    interlaced = (
        "-flags",
        "+ildct+ilme",
        "-field_order",
        "tt",
        *(["-qp", "0"] if codec == "libx264" else ["-q:v", "1"]),
    )
    run_ffmpeg("-f", "lavfi", "-i", drawn, "-vf", "setfield=tff", "-c:v", codec, *interlaced, lines)
    source, frames = read(joined(tmp_path, [large, lines], ".ts"), deinterlace="off")
    assert source.counts.resampled == 4
    luma = frames[-2].planes[0].astype(int)
    assert luma.shape == (96, 128)
    assert luma[0::2].min() > 220
    assert luma[1::2].max() < 30


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_recorded_calls_grow(tmp_path: Path, make_clip: MakeClip, codec: str):
    """They begin small and are given more as the line allows; key frames alone say so."""
    parts = [make_clip(f"{n}.ivf", codec=codec, size=(48 << n, 64 << n), num_frames=6, gop=6) for n in (0, 1)]
    whole = tmp_path / "call.webm"
    with av.open(str(whole), "w") as out, av.open(str(parts[0])) as one, av.open(str(parts[1])) as two:
        stream = out.add_stream_from_template(one.streams.video[0], opaque=True)
        packets = [packet for part in (one, two) for packet in part.demux(video=0) if packet.size]
        for number, packet in enumerate(packets):
            again = av.Packet(bytes(packet))
            again.is_keyframe, again.stream, again.time_base = packet.is_keyframe, stream, Fraction(1, 25)
            again.pts = again.dts = number
            out.mux(again)
    source, frames = read(whole)
    assert {frame.planes[0].shape for frame in frames} == {(96, 128)}
    assert [read_number(frame.planes[0]) for frame in frames] == [*range(6)] * 2
    assert source.counts.resampled == 6


def test_a_shape_that_the_user_gives_counts_for_all(tmp_path: Path, make_clip: MakeClip):
    parts = [
        make_clip(f"{n}.ts", size=(64, 96), num_frames=5, gop=5, sample_aspect=aspect)
        for n, aspect in enumerate([Fraction(1), Fraction(3, 2)])
    ]
    info = replace(probe(joined(tmp_path, parts, ".ts")), coded_aspect=None)
    source = VideoSource(info.path, info=info, threads=1)
    list(source.frames())
    assert source.counts.fitted == 0
