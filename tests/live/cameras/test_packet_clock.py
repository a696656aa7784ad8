"""Sound and packets on a camera's timeline; no camera needed."""

import random
from fractions import Fraction

import pytest

from vsr.live.cameras.packet_clock import PictureClock, SoundClock
from vsr.live.cameras.timestamps import TICKS, CameraTimeline


def timeline() -> CameraTimeline:
    made = CameraTimeline()
    made.connect(Fraction(1, TICKS))
    for number in range(25):
        made.place(5 * TICKS + number * 3600, 100 + number / 25)
    return made


def hear(
    clock: SoundClock, shift: int, times_s, *, from_s: float, reported=lambda number: True
) -> list[float]:
    """Seconds on the timeline at which packets land that say `times_s` and come every 20 ms."""
    landed = []
    for number, time_s in enumerate(times_s):
        source = round(time_s * TICKS)
        added = clock.shift(source, reported=reported(number), shift=shift, arrived_s=from_s + number / 50)
        landed.append((source + added) / TICKS)
    return landed


@pytest.mark.parametrize(
    ("begins", "late_s", "muxed", "off_s"),
    [
        (5.2, 0.0, False, 0.0),  # as the pictures' times say
        (4.8, 0.4, False, 0.0),  # late, and said so
        (5.6, -0.4, False, 0.0),
        (4.0, 1.2, False, 1.2),  # more than can be believed: by arrival
        (1.7e9, 0.0, False, None),  # a clock of another year
        (-3600.0, 0.0, False, None),
        (4.0, 1.2, True, 0.0),
    ],
)
def test_sound_is_believed_within_bounds_and_goes_by_arrival_else(begins, late_s, muxed, off_s):
    line = timeline()
    landed = hear(
        SoundClock(line, muxed=muxed), line.shift, [begins + n / 50 for n in range(10)], from_s=100.2
    )
    arrivals = [0.2 + n / 50 for n in range(10)]
    expected = arrivals if off_s is None else [begins - 5 + off_s + n / 50 for n in range(10)]
    assert landed == pytest.approx(expected, abs=0.001)


def test_a_report_that_comes_later_puts_sound_where_it_belongs_and_a_mad_one_moves_nothing():
    line = timeline()
    times = [n / 50 for n in range(10)]  # from 0, until the camera's report says that it is 0.1 s late
    times += [5.1 + n / 50 for n in range(10, 20)]
    times += [1.7e9 + n / 50 for n in range(20, 30)]
    times += [5.1 + n / 50 for n in range(30, 40)]
    landed = hear(SoundClock(line, muxed=False), line.shift, times, from_s=100.2, reported=lambda n: n > 9)
    arrivals = [0.2 + n / 50 for n in range(40)]
    assert landed[:10] == pytest.approx(arrivals[:10])
    assert landed[10:20] == pytest.approx([time - 0.1 for time in arrivals[10:20]])
    assert landed[20:30] == pytest.approx(arrivals[20:30])
    assert landed[30:] == pytest.approx([time - 0.1 for time in arrivals[30:]])


def test_sound_of_a_slow_clock_is_never_further_off_than_what_is_believed():
    line = timeline()
    times = [0.98 * n / 50 for n in range(5000)]
    landed = hear(SoundClock(line, muxed=False), line.shift, times, from_s=100.2, reported=lambda n: False)
    off = [0.2 + n / 50 - time for n, time in enumerate(landed)]
    assert max(off) < 0.3 + 0.02 * 8
    assert min(off) > -0.01


def test_late_packets_of_a_stalled_link_keep_their_times():
    line = timeline()
    clock = SoundClock(line, muxed=False)
    hear(clock, line.shift, [5.2 + n / 50 for n in range(50)], from_s=100.2)
    for number in range(50, 150):  # two seconds at once
        source = round((5.2 + number / 50) * TICKS)
        assert (
            clock.shift(source, reported=True, shift=line.shift, arrived_s=103.2 + number / 1e5) == line.shift
        )


def test_a_picture_with_a_mad_time_follows_the_one_before():
    line = timeline()
    clock = PictureClock(line)
    landed = []
    for number in range(6):
        source = 6 * TICKS + number * 3600 + (37_600 * TICKS if number == 3 else 0)
        landed.append(source + clock.shift(source, shift=line.shift, arrived_s=101 + number / 25))
    assert landed == [TICKS + number * 3600 for number in range(6)]


def test_a_link_that_stalls_again_and_again_moves_sound_and_pictures_alike():
    line, chance, free_s = CameraTimeline(), random.Random(3), 0.0
    line.connect(Fraction(1, TICKS))
    clock, off = SoundClock(line, muxed=False), []
    for number in range(10_000):
        moment_s = number / 50
        free_s = max(free_s, moment_s)
        if number % 2 == 0:
            free_s += 0.9 * chance.random() if chance.random() < 0.09 else 0.0
            line.place(round(moment_s * TICKS), 100 + free_s)
        assert line.shift is not None
        source = round(moment_s * TICKS)
        off.append(clock.shift(source, reported=False, shift=line.shift, arrived_s=100 + free_s) - line.shift)
    assert max(map(abs, off)) == 0
