"""Tape and film: fields to frames, telecines undone; times neither drift nor depend on where reading begins."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from support.clips import numbered_frame, plane_view, read_number, run_ffmpeg

from vsr.frames import Frame
from vsr.media.probe_video import probe
from vsr.media.reading.source import VideoSource
from vsr.options import ReadOptions

MakeClip = Callable[..., Path]
NTSC, FILM = Fraction(30000, 1001), Fraction(24000, 1001)
SIZE = (48, 64)
SHOWN = [int(n) for n in np.random.default_rng(5).integers(0, 1 << 14, 24)]
"""Numbers of 24 fields: each cell of theirs changes at random."""


def read(path: Path, from_pts: int | None = None, **options: Any) -> list[Frame]:
    return list(VideoSource(path, ReadOptions(**options), threads=1, from_pts=from_pts).frames())


def numbers(frames: list[Frame]) -> list[int]:
    return [read_number(frame.planes[0]) for frame in frames]


def times(frames: list[Frame]) -> list[Fraction]:
    return [frame.pts * frame.time_base for frame in frames]


def pairs_of(fields: list[int]) -> list[tuple[int, int]]:
    return list(zip(fields[::2], fields[1::2], strict=True))


def write_woven(
    path: Path, pairs: Iterable[tuple[int, int]], *, rate: Fraction, top_first: bool = True
) -> Path:
    """Pictures whose first field shows one number and whose second another, without flags."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv422p"
        for index, (first, second) in enumerate(pairs):
            frame, other = (numbered_frame(number, SIZE, "yuv422p") for number in (first, second))
            plane_view(frame, 0)[int(top_first) :: 2] = plane_view(other, 0)[int(top_first) :: 2]
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def telecined(make_clip: MakeClip, tmp_path: Path) -> Callable[..., Path]:
    """A film with numbered frames, made into interlaced video at 30000/1001 pictures a second."""

    def make(num_frames: int, name: str = "video.avi", pattern: str = "23") -> Path:
        film = make_clip("film.nut", num_frames=num_frames, codec="ffv1", pixel_format="yuv422p", rate=FILM)
        target = tmp_path / name
        run_ffmpeg("-i", film, "-vf", f"telecine=pattern={pattern}", "-c:v", "ffv1", target)
        return target

    return make


def shown(frames: list[Frame], *, top_first: bool) -> list[int]:
    """The number of each frame's own field, whose rows are the source's."""
    return [
        read_number(frame.planes[0][(index + 1 - top_first) % 2 :: 2]) for index, frame in enumerate(frames)
    ]


@pytest.mark.parametrize("order", ["top", "bottom"])
def test_each_field_becomes_a_frame_at_its_own_time(tmp_path: Path, order: str):
    clip = write_woven(tmp_path / "tape.avi", pairs_of(SHOWN), rate=Fraction(25), top_first=order == "top")
    source = VideoSource(clip, ReadOptions(deinterlace="fields", field_order=order), threads=1)
    frames = list(source.frames())
    assert shown(frames, top_first=order == "top") == SHOWN
    assert times(frames) == [Fraction(n, 50) for n in range(24)]
    assert [frame.duration * frame.time_base for frame in frames] == [Fraction(1, 50)] * 24
    assert (source.info.num_frames, source.info.average_rate, source.info.time_base) == (
        24,
        50,
        Fraction(1, 50),
    )


@pytest.mark.parametrize("flag", ["tff", "bff"])
def test_field_order_is_that_of_the_source(tmp_path: Path, flag: str):
    woven = write_woven(tmp_path / "plain.avi", pairs_of(SHOWN), rate=Fraction(25), top_first=flag == "tff")
    clip = tmp_path / "flagged.mp4"
    run_ffmpeg(
        "-i", woven, "-vf", f"setfield={flag}", "-c:v", "libx264", "-qp", "0", "-flags", "+ilme+ildct", clip
    )
    assert shown(read(clip, deinterlace="fields"), top_first=flag == "tff") == SHOWN
    swapped = [number for pair in pairs_of(SHOWN) for number in reversed(pair)]
    wrong = "bottom" if flag == "tff" else "top"
    assert shown(read(clip, deinterlace="fields", field_order=wrong), top_first=flag != "tff") == swapped


def test_a_gap_in_a_tape_stays_where_it_is(make_clip: MakeClip):
    clip = make_clip(
        "gap.mkv", codec="ffv1", pts=[0, 40, 80, 320, 360], time_base=Fraction(1, 1000), num_frames=5
    )
    frames = read(clip, deinterlace="fields")
    assert times(frames)[::2] == [Fraction(ms, 1000) for ms in (0, 40, 80, 320, 360)]
    assert times(frames)[1::2] == [Fraction(ms, 1000) for ms in (20, 60, 100, 340, 380)]
    assert frames[5].duration * frames[5].time_base == Fraction(220, 1000)


def test_a_telecine_is_undone_exactly(telecined: Callable[..., Path], tmp_path: Path):
    clip = telecined(40)
    whole = read(tmp_path / "film.nut")
    source = VideoSource(clip, ReadOptions(deinterlace="film"), threads=1)
    frames = list(source.frames())
    assert numbers(frames) == list(range(40))
    for frame, original in zip(frames, whole, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(frame.planes, original.planes, strict=True))
    assert (source.info.num_frames, source.info.average_rate) == (40, FILM)
    assert source.counts.frames == 40


def test_times_after_a_telecine_are_constant_over_a_long_clip(telecined: Callable[..., Path]):
    frames = read(telecined(1600), deinterlace="film")
    assert numbers(frames) == list(range(1600))
    assert times(frames) == [n / FILM for n in range(1600)]
    assert {frame.duration * frame.time_base for frame in frames} == {1 / FILM}


@pytest.mark.parametrize("pattern", ["32", "2332"])
def test_other_patterns_are_undone(telecined: Callable[..., Path], pattern: str):
    frames = read(telecined(40, pattern=pattern), deinterlace="film")
    assert numbers(frames) == list(range(40))
    assert times(frames) == [n / FILM for n in range(40)]


def test_times_rounded_to_milliseconds_do_not_drift(telecined: Callable[..., Path]):
    frames = read(telecined(400, "video.mkv"), deinterlace="film")
    assert numbers(frames) == list(range(400))
    assert all(abs(time - n / FILM) <= Fraction(1, 1000) for n, time in enumerate(times(frames)))


@pytest.mark.parametrize("mode", ["film", "fields"])
def test_reading_from_the_middle_gives_the_frames_of_the_whole(telecined: Callable[..., Path], mode: str):
    clip = telecined(80)
    whole = read(clip, deinterlace=mode)
    for index in (1, 31, 46, 53, 60):
        for later in (
            read(clip, deinterlace=mode, from_pts=whole[index].pts),
            read(clip, deinterlace=mode, start=f"{float(times(whole)[index]) - 0.001:.6f}"),
        ):
            assert times(later) == times(whole)[index:]
            for a, b in zip(later, whole[index:], strict=True):
                assert all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))


def test_pictures_missing_from_a_telecine_move_none_behind_them(
    telecined: Callable[..., Path], tmp_path: Path
):
    clip, cut = telecined(80), tmp_path / "cut.nut"
    run_ffmpeg(
        "-i", clip, "-vf", "select='not(between(n,31,37))'", "-fps_mode", "passthrough", "-c:v", "ffv1", cut
    )
    frames = read(cut, deinterlace="film")
    late = [frame for frame in frames if read_number(frame.planes[0]) >= 33]
    assert numbers(late)[0] < 36
    for frame in late:
        assert abs(frame.pts * frame.time_base - read_number(frame.planes[0]) / FILM) <= 1 / NTSC
    assert [n for n in numbers(late) if n >= 40] == list(range(40, 80))


def test_film_that_repeats_by_flags_alone_keeps_all_its_frames(make_clip: MakeClip):
    pts = [step + 10 * group for group in range(10) for step in (0, 3, 5, 8)]  # in fields
    clip = make_clip(
        "soft.nut", codec="ffv1", num_frames=40, pts=pts, time_base=Fraction(1001, 60000), rate=NTSC
    )
    info = replace(probe(clip), average_rate=NTSC)  # as MPEG-2 says it
    frames = list(VideoSource(clip, ReadOptions(deinterlace="film"), info=info, threads=1).frames())
    assert numbers(frames) == list(range(40))
    assert times(frames) == [n / FILM for n in range(40)]


def test_film_on_pal_tape_gets_its_fields_back_together(tmp_path: Path):
    # The second field of each picture belongs to the film frame of the next one's first.
    clip = write_woven(tmp_path / "shifted.avi", ((n, n + 1) for n in range(20)), rate=Fraction(25))
    frames = read(clip, deinterlace="film")
    assert times(frames) == [Fraction(n, 25) for n in range(20)]
    rows = [frame.planes[0].astype(int) for frame in frames[2:-2]]
    assert all((plane[0::2] == plane[1::2]).all() for plane in rows)
    assert numbers(frames)[2:-2] in (list(range(2, 18)), list(range(3, 19)))


def test_film_at_other_rates_is_left_as_it_is(make_clip: MakeClip):
    clip = make_clip("scan.mkv", codec="ffv1", rate=Fraction(24), num_frames=20)
    plain, film = read(clip), read(clip, deinterlace="film")
    assert times(film) == times(plain)
    assert all(np.array_equal(a.planes[0], b.planes[0]) for a, b in zip(plain, film, strict=True))
