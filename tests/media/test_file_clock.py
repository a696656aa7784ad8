"""One clock for pictures and sound, wherever a file's own begins anew, leaps, or goes on under other numbers."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from support.clips import ClipOptions, read_number, run_ffmpeg, write_clip
from support.encoding import write
from support.joined_files import join_files, remux, spoil_time

from vsr.media.clock_scan import clock_of
from vsr.media.probe_video import probe
from vsr.media.reading.source import VideoSource
from vsr.options import ReadOptions

LENGTH = 20
"""Pictures of a piece, 0.8 s."""


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """Three clips of numbered pictures with sound."""
    folder = tmp_path_factory.mktemp("pieces")
    made = []
    for number in range(3):
        numbers = tuple(range(LENGTH * number, LENGTH * (number + 1)))
        options = {"bf": "2", "preset": "ultrafast", "crf": "10"}
        clip = ClipOptions(num_frames=LENGTH, numbers=numbers, gop=8, codec_options=options, audio=True)
        made.append(write_clip(folder / f"{number}.mp4", clip))
    return made


def joined_of(pieces, tmp_path: Path, kind: str, *more: tuple[str, ...]) -> Path:
    """The pieces in one file of a kind, each brought into it with options of its own."""
    options = [*more, *[()] * len(pieces)]
    parts = [remux(clip, tmp_path / f"{n}{kind}", *options[n]) for n, clip in enumerate(pieces)]
    return join_files(parts, tmp_path / f"joined{kind}")


def read(path, **options):
    source = VideoSource(path, ReadOptions(**options), threads=1)
    return list(source.frames()), source.counts


def numbers(frames):
    return [read_number(frame.planes[0]) for frame in frames]


def sound_times(path):
    with av.open(str(path)) as opened:
        stream = opened.streams.audio[0]
        return [p.pts * Fraction(stream.time_base) for p in opened.demux(stream) if p.size]


def check_whole(joined, frames, counts, places=(LENGTH, 2 * LENGTH)):
    """All pictures, an equal step apart, marked where pieces begin."""
    assert numbers(frames) == list(range(3 * LENGTH))
    assert {(b.pts - a.pts) * a.time_base for a, b in pairwise(frames)} == {Fraction(1, 25)}, joined
    assert [n for n, frame in enumerate(frames) if frame.reset] == list(places)
    assert counts.retimed == counts.dropped == 0
    assert sum("begins anew or leaps 2 times" in note for note in counts.notes) == 1


@pytest.mark.parametrize("kind", [".ts", ".mpg", ".flv", ".ogv", ".mkv"])
def test_sound_and_pictures_follow_each_other_where_clocks_jump(pieces, tmp_path, kind):
    """Short pieces, each from time 0: no time goes back by a second."""
    joined = joined_of(pieces, tmp_path, kind)
    frames, counts = read(joined)
    check_whole(joined, frames, counts)
    for container in ("mkv", "mp4"):
        out = tmp_path / f"out.{container}"
        report = write(joined, out)
        assert report.verification.differences == ()
        sounds = sound_times(out)
        assert all(b >= a for a, b in pairwise(sounds))
        start = float(frames[0].pts * frames[0].time_base)
        assert abs(float(sounds[0]) - start) < 0.1
        assert 2.3 < float(sounds[-1]) - start < 2.5
        assert max(b - a for a, b in pairwise(sounds)) < Fraction(1, 10)


@pytest.mark.parametrize("kind", [".ts", ".mpg"])
@pytest.mark.parametrize("leaps", [("", "5000", "9000"), ("3000", "", "40")], ids=["forward", "to and fro"])
def test_a_leap_of_the_clock_is_no_frozen_picture(pieces, tmp_path, kind, leaps):
    more = [("-output_ts_offset", leap) if leap else () for leap in leaps]
    joined = joined_of(pieces, tmp_path, kind, *more)
    check_whole(joined, *read(joined))
    out = tmp_path / "out.mkv"
    assert write(joined, out).verification.differences == ()
    assert sound_times(out)[-1] - sound_times(out)[0] < Fraction(5, 2)
    info = clock_of(joined, 0).correct(probe(joined))
    assert info.duration_s == pytest.approx(2.4)
    assert info.num_frames == 60
    assert any("begins anew" in note for note in info.notes)


@pytest.mark.parametrize("kind", [".ts", ".mpg", ".flv", ".ogv", ".mkv"])
def test_reading_may_begin_anywhere(pieces, tmp_path, kind):
    joined = joined_of(pieces, tmp_path, kind)
    whole, _ = read(joined)
    info = probe(joined)
    for at in (1, 19, 20, 27, 45, 59):
        part = list(VideoSource(joined, info=info, threads=1, from_pts=whole[at].pts).frames())
        assert [frame.pts for frame in part] == [frame.pts for frame in whole[at:]]
        assert numbers(part) == list(range(at, 60))
    out = tmp_path / "out.mp4"
    report = write(joined, out, read=ReadOptions(start="1", end="2"), trim=True)
    assert report.verification.differences == ()
    assert report.num_frames == 25
    assert abs(float(sound_times(out)[-1]) - 1) < 0.1


def test_a_gap_that_sound_fills_stays(make_clip, tmp_path):
    """Pictures pause for three seconds, and nothing is wrong with the clock."""
    pts = [*range(20), *range(95, 115)]
    clip = make_clip("a.mp4", pts=pts, num_frames=40, audio=True)
    frames, counts = read(remux(clip, tmp_path / "a.ts"))
    assert max(b.pts - a.pts for a, b in pairwise(frames)) == 76 * 3600
    assert counts.notes == []


@pytest.mark.parametrize("kind", [".ts", ".flv"])
def test_pictures_far_apart_stay_so(make_clip, tmp_path, kind):
    for step in (60, 400):
        pts = range(0, 5 * step, step)
        clip = make_clip(f"{step}.mp4", pts=pts, num_frames=5, codec_options={"bf": "0"})
        run_ffmpeg("-i", clip, "-c", "copy", tmp_path / f"{step}{kind}")
        frames, counts = read(tmp_path / f"{step}{kind}")
        assert {(b.pts - a.pts) * a.time_base for a, b in pairwise(frames)} == {Fraction(step, 25)}
        assert counts.notes == []


def test_a_leap_of_pictures_alone_is_closed_where_it_is_long(make_clip, tmp_path):
    for pause, is_closed in ((5, False), (5000, True)):
        pts = [*range(20), *range(20 + 25 * pause, 40 + 25 * pause)]
        clip = make_clip(f"{pause}.mp4", pts=pts, num_frames=40, codec_options={"bf": "0"})
        run_ffmpeg("-i", clip, "-c", "copy", tmp_path / f"{pause}.ts")
        frames, counts = read(tmp_path / f"{pause}.ts")
        assert (max(b.pts - a.pts for a, b in pairwise(frames)) == 3600) == is_closed
        assert bool(counts.notes) == is_closed


@pytest.mark.parametrize("ticks", [90_000 * 500, -90_000])
def test_one_wrong_time_is_no_piece(make_clip, tmp_path, ticks):
    clip = make_clip("a.mp4", num_frames=60, codec_options={"bf": "0"}, audio=True)
    whole = remux(clip, tmp_path / "a.ts")
    before = [frame.pts for frame in read(whole)[0]]
    spoil_time(whole, 256, 30, ticks)
    frames, _ = read(whole)
    assert [frame.pts for frame in frames] == before
    assert numbers(frames) == list(range(60))


def test_sound_that_damage_sets_back_stays_with_the_pictures(make_clip, tmp_path):
    """Broken sound whose times FFmpeg guesses too far, and then right again; later on the clock begins anew."""
    clip = make_clip("a.mp4", num_frames=100, audio=True)
    whole = remux(clip, tmp_path / "a.ts")
    before = sound_times(whole)
    at = next(n for n, time in enumerate(before) if time > before[0] + 1)
    spoil_time(whole, 257, at // 8, -90_000 // 4, stream=0xC0)
    joined = join_files([whole, remux(clip, tmp_path / "b.ts")], tmp_path / "joined.ts")
    write(joined, tmp_path / "out.mkv")
    assert abs(float(sound_times(tmp_path / "out.mkv")[-1] - before[-1]) - 4) < 0.1


@pytest.mark.parametrize("again", [False, True], ids=["one clock", "two"])
def test_a_broadcast_is_read_on_under_other_numbers(pieces, tmp_path, again):
    offset = () if again else ("-output_ts_offset", "0.8")
    parts = [
        remux(pieces[0], tmp_path / "0.ts"),
        remux(pieces[1], tmp_path / "1.ts", "-mpegts_start_pid", "0x300", *offset),
        remux(pieces[2], tmp_path / "2.ts", "-mpegts_start_pid", "0x400", *offset, *offset),
    ]
    joined = join_files(parts[:2], tmp_path / "joined.ts")
    frames, counts = read(joined)
    assert numbers(frames) == list(range(40))
    assert any("other numbers once" in note for note in counts.notes)
    part = list(VideoSource(joined, threads=1, from_pts=frames[30].pts).frames())
    assert numbers(part) == list(range(30, 40))
    report = write(joined, tmp_path / "out.mkv")
    assert report.verification.differences == ()
    assert len(sound_times(tmp_path / "out.mkv")) == sum(len(sound_times(part)) for part in parts[:2])
    assert numbers(read(join_files(parts, tmp_path / "three.ts"))[0]) == list(range(60))


def test_a_broadcast_that_goes_on_as_another_video_is_not_cut_in_silence(pieces, tmp_path):
    other = tmp_path / "1.ts"
    run_ffmpeg("-i", pieces[1], "-c:v", "mpeg2video", "-mpegts_start_pid", "0x300", other)
    joined = join_files([remux(pieces[0], tmp_path / "0.ts"), other], tmp_path / "joined.ts")
    frames, counts = read(joined)
    assert numbers(frames) == list(range(20))
    assert any("goes on as another video (mpeg2video)" in note for note in counts.notes)


@pytest.mark.parametrize("rate", ["44100", "22050"], ids=["same", "other"])
@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_new_headers_on_the_way_harm_no_result(pieces, tmp_path, rate, container):
    """FLV repeats the decoder's headers where a recording follows another; sound coded in another way is converted."""
    first = remux(pieces[0], tmp_path / "0.flv", "-ar", "44100")
    second = remux(pieces[1], tmp_path / "1.flv", "-ar", rate)
    joined = join_files([first, second], tmp_path / "joined.flv")
    out = tmp_path / f"out.{container}"
    report = write(joined, out)
    assert report.verification.differences == ()
    assert bool(report.converted) == (rate == "22050")
    with av.open(str(out)) as opened:
        samples = sum(f.samples for f in opened.decode(audio=0)) / opened.streams.audio[0].rate
    assert samples == pytest.approx(1.6, abs=0.15)
