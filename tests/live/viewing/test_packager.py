"""Parts and segments of HLS, held against the rules and against what was sent."""

import io
import itertools
import time
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from support.hls_rules import ReadPlaylist, check_reload, read_playlist
from support.live_hub import ENCODERS, sound_messages
from support.units import numbered_units, shown

from vsr.live.packets import TICKS
from vsr.live.serving.access_units import UnitReader
from vsr.live.viewing.packager import Packager
from vsr.live.viewing.part_playlist import PART_S


def fed(packager: Packager, units, *, least: float = 0.85) -> list[ReadPlaylist]:
    """What a player sees that looks whenever there is something new."""
    seen = [
        read_playlist(packager.playlist(), least=least)
        for unit in units
        if packager.put(unit) and packager.is_listed
    ]
    for before, after in itertools.pairwise(seen):
        check_reload(before, after)
    return seen


def played(packager: Packager, playlists: list[ReadPlaylist]) -> list[tuple[int, int, int]]:
    """What a player shows that fetches each part once, and segments where they have none or are older."""
    fetched: dict[int, list[str]] = {}
    heads: dict[str, list[int]] = {}
    for playlist in playlists:
        for segment in playlist.segments:
            got = fetched.setdefault(segment.number, [])
            parts = [part[0] for part in segment.parts]
            got += [name for name in parts or ([] if got else [segment.name]) if name not in got]
            numbers = heads.setdefault(segment.head, [])
            numbers += [segment.number] if segment.number not in numbers else []
    pieces = {
        head: b"".join(packager.piece(name) or b"" for number in numbers for name in fetched[number])
        for head, numbers in heads.items()
    }
    return [
        picture for head, held in pieces.items() for picture in shown((packager.piece(head) or b"") + held)
    ]


RATES = [(25, 25), (25, 12), (30, 30), (15, 15), (20, 20), (24, 24), (50, 50), (5, 5), (10, 20)]


@pytest.mark.parametrize(("rate", "gop"), RATES)
def test_parts_hold_what_was_sent_and_playlists_the_rules(tmp_path, rate, gop):
    units = numbered_units(tmp_path, rate=Fraction(rate), gop=gop, num_frames=5 * rate)
    packager = Packager()
    seen = fed(packager, units)
    got = played(packager, seen)
    assert got == [(96, number, unit.pts_90k) for number, unit in enumerate(units)][: len(got)]
    assert len(units) - len(got) <= 0.25 * rate + 1
    assert all(
        part[2] == (number == 0) for each in seen[-1].segments for number, part in enumerate(each.parts)
    )


def test_originals_in_h265_are_played_as_they_were_sent(tmp_path):
    units = numbered_units(tmp_path, kind="mp4", codec="libx265", codec_options=ENCODERS["h265"][1])
    packager = Packager()
    got = played(packager, fed(packager, units))
    assert got == [(96, number, unit.pts_90k) for number, unit in enumerate(units)][: len(got)]
    assert len(got) > 60
    head = packager.piece(read_playlist(packager.playlist()).segments[-1].head)
    assert head is not None
    assert b"hvc1" in head


def test_a_new_size_goes_on_over_a_discontinuity_with_another_head(tmp_path):
    small, large = numbered_units(tmp_path), numbered_units(tmp_path, begins=3 * TICKS, size=(192, 256))
    packager = Packager()
    seen = fed(packager, [*small, *large])
    got = played(packager, seen)
    assert [height for height, _, _ in got] == [96] * 75 + [192] * (len(got) - 75)
    assert [number for _, number, _ in got[:75]] == list(range(75))
    breaks = [segment.breaks for segment in seen[-1].segments]
    assert breaks == [True, False, False, True, False, False]
    assert len({segment.head for segment in seen[-1].segments}) == 2
    [coming] = [playlist for playlist in seen if playlist.breaks_next]
    assert coming.hint == seen[-1].segments[3].parts[0][0]
    packager.end()
    assert read_playlist(packager.playlist()).breaks_next


def test_numbers_run_on_when_a_break_has_left_the_list_and_over_another_run(tmp_path, monkeypatch):
    packager, begins, seen = Packager(), 0, []
    for size in ((96, 128), (48, 64)) * 3:
        seen += fed(packager, numbered_units(tmp_path, begins=begins, size=size))
        begins += 3 * TICKS
    for before, after in itertools.pairwise(seen):
        check_reload(before, after)
    assert seen[-1].num_breaks > seen[0].num_breaks
    packager.forget()
    assert not packager.is_listed
    later = fed(packager, numbered_units(tmp_path, begins=begins))
    check_reload(seen[-1], later[0])
    assert later[0].sequence == seen[-1].segments[-1].number + 1
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600)  # a run takes a second for a segment at least
    check_reload(later[-1], fed(Packager(), numbered_units(tmp_path))[0])


@pytest.mark.parametrize("at", range(38, 44))
def test_where_pictures_are_missing_what_follows_comes_earlier(tmp_path, at):
    units = numbered_units(tmp_path)
    late = [replace(each, pts_90k=each.pts_90k + TICKS, dts_90k=each.dts_90k + TICKS) for each in units[at:]]
    packager = Packager()
    seen = fed(packager, [*units[:at], *late])
    got = played(packager, seen)
    assert [number for _, number, _ in got] == list(range(len(got)))
    assert len(got) > 60
    assert all(segment.parts for segment in seen[-1].segments if segment.duration_s)
    assert [segment.breaks for segment in seen[-1].segments].count(True) == 1
    lengths = [(after[2] - before[2]) / TICKS for before, after in itertools.pairwise(got)]
    assert 0.04 <= lengths[at - 1] <= PART_S
    assert {round(each, 3) for number, each in enumerate(lengths) if number != at - 1} == {0.04}


def test_a_stream_that_becomes_slow_keeps_its_times_after_the_first_picture(tmp_path):
    units = numbered_units(tmp_path)
    slow = [
        replace(each, pts_90k=units[37].pts_90k + n * TICKS // 2, dts_90k=units[37].dts_90k + n * TICKS // 2)
        for n, each in enumerate(units[38:46], 1)
    ]
    packager = Packager()
    got = played(packager, fed(packager, [*units[:38], *slow]))
    assert [number for _, number, _ in got] == list(range(len(got)))
    lengths = [(after[2] - before[2]) / TICKS for before, after in itertools.pairwise(got)]
    assert lengths[37] <= PART_S
    assert set(lengths[38:]) == {0.5}


def test_a_stream_slower_than_parts_has_segments_alone(tmp_path):
    seen = fed(packager := Packager(), numbered_units(tmp_path, rate=Fraction(2), gop=2, num_frames=12))
    assert not any(segment.parts for segment in seen[-1].segments)
    assert [number for _, number, _ in played(packager, seen)] == list(range(11))


def test_times_that_shake_keep_parts_within_their_length(tmp_path):
    units = numbered_units(tmp_path, num_frames=250)
    random = np.random.default_rng(7)
    moved = [each.dts_90k + int(random.integers(-1700, 1700)) for each in units]
    shaken = [replace(each, pts_90k=at, dts_90k=at) for each, at in zip(units, moved, strict=True)]
    packager = Packager()
    seen = fed(packager, shaken, least=0.7)
    got = played(packager, seen)
    assert got == [(96, number, at) for number, at in enumerate(moved)][: len(got)]
    assert len(got) > 230


def test_times_that_jump_break_and_wait_for_a_keyframe(tmp_path):
    units = numbered_units(tmp_path)
    back = [replace(each, pts_90k=each.pts_90k - TICKS, dts_90k=each.dts_90k - TICKS) for each in units[40:]]
    packager = Packager()
    seen = fed(packager, [*units[:40], *back])
    assert [number for _, number, _ in played(packager, seen)][:50] == [*range(40), *range(50, 60)]
    assert [segment.breaks for segment in seen[-1].segments].count(True) == 2


def test_an_original_with_b_frames_and_keyframes_far_apart_is_cut_by_time(tmp_path):
    options = {"b_frames": 2, "codec_options": {}, "gop": 250, "num_frames": 200}
    units = numbered_units(tmp_path, kind="mp4", begins=TICKS, **options)
    packager = Packager()
    seen = fed(packager, units)
    assert max(segment.duration_s for segment in seen[-1].whole) <= 2.1
    got = played(packager, seen)
    assert sorted(number for _, number, _ in got)[:190] == list(range(190))
    assert [at for *_, at in got] == sorted(at for *_, at in got)


@pytest.mark.parametrize("missing", [0, 15])
def test_sound_has_no_holes_and_goes_with_its_pictures(tmp_path, missing):
    """A tone that is missing for a second, as while a camera is away."""
    reader = UnitReader()
    described, *packets = sound_messages(tmp_path, 8.0)
    reader.describe(described)
    sound = [reader.read(each, shift=0, wall_s=0.0) for each in packets]
    sound = [each for each in sound if each is not None and not 3 * TICKS <= each.pts_90k < 4 * TICKS]
    pictures = numbered_units(tmp_path, num_frames=200)
    del pictures[40 : 40 + missing]
    packager = Packager()
    seen = fed(packager, sorted([*pictures, *sound], key=lambda unit: unit.pts_90k))
    [head] = {segment.head for segment in seen[-1].segments[1:]}
    pieces = [segment.name for segment in seen[-1].whole if segment.head == head]
    data = b"".join(packager.piece(name) or b"" for name in [head, *pieces])
    with av.open(io.BytesIO(data)) as container:
        packets = [(p.pts, p.duration) for p in container.demux(audio=0) if p.pts is not None]
    assert all(pts + duration == after for (pts, duration), (after, _) in itertools.pairwise(packets))
    with av.open(io.BytesIO(data)) as container:
        heard = [(f.time, float(np.abs(f.to_ndarray()).mean())) for f in container.decode(audio=0)]
    _, number, pts = shown(data)[-1]
    from_s = 3 - (number / 25 - pts / TICKS)
    assert (from_s < 2.55) == (missing > 0)
    assert all(
        (level > 0.1) == (not from_s <= at < from_s + 1)
        for at, level in heard
        if min(abs(at - from_s), abs(at - from_s - 1)) > 0.3
    )
    assert heard[-1][0] > 5.5
