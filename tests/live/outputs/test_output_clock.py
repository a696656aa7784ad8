"""Times of what goes out, by frames and by the wall."""

from fractions import Fraction

import pytest
from support.live_rig import FORMAT, STEP

from vsr.frames import Frame
from vsr.live.outputs.output_clock import OutputClock

TICKS = 90_000


def at(ticks: int) -> Frame:
    return Frame((), FORMAT, ticks, Fraction(1, TICKS))


def test_frames_keep_their_own_times_however_long_they_were_under_way():
    clock = OutputClock()
    late_s = (0.0, 0.2, 0.03, 0.3)
    assert [clock.next(at(n * STEP), 50 + n / 25 + late) for n, late in enumerate(late_s)] == [
        n * STEP for n in range(4)
    ]


def test_a_link_that_stalls_again_and_again_never_puts_the_clock_ahead():
    clock, now = OutputClock(), 100.0
    for _ in range(50):
        for number in range(25):
            clock.next(at(round((now - 100) * TICKS) + number * STEP), now + number / 25 + 0.03)
        for number in range(12):  # half a second of pictures that stand in
            clock.next(None, now + 1.5 + number / 25)
        shown = [
            clock.next(at(round((now - 100 + 1 + n / 25) * TICKS)), now + 2 + n / 1e4) for n in range(25)
        ]
        assert shown == sorted(set(shown))
        now += 2.04
    assert shown[-1] / TICKS == pytest.approx(now - 100, abs=0.1)


def test_what_stood_in_before_the_first_frame_is_kept():
    clock = OutputClock()
    clock.next(None, 10.0)
    clock.next(None, 12.0)
    assert clock.next(at(5), 12.5) == 2.5 * TICKS
    assert clock.shift == 2.5 * TICKS - 5
    assert clock.next(at(5 + STEP), 12.54) == 2.5 * TICKS + STEP


def test_frames_are_back_at_their_own_times_soon_after_something_stood_in_for_them():
    clock = OutputClock()
    for number in range(10):
        clock.next(at(number * STEP), 20 + number / 25)
    clock.next(None, 20 + 1.3)  # 1.3 s, where the next frame says 1.2
    shown = [clock.next(at((30 + number) * STEP), 21.4 + number / 25) for number in range(10)]
    assert shown == sorted(set(shown))
    assert shown[4:] == [(34 + number) * STEP for number in range(6)]


def test_a_clock_that_is_far_behind_goes_by_the_walls():
    clock = OutputClock()
    clock.next(at(0), 20)
    clock.next(None, 30)
    assert clock.next(at(STEP), 30.5) == pytest.approx(10.5 * TICKS, abs=1)
