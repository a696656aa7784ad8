"""A camera's times over wrap-around, jumps, bursts, missing times and reconnects; no camera needed."""

from fractions import Fraction

import pytest

from vsr.live.cameras.timestamps import CameraTimeline

STEP = 3600


def play(timeline: CameraTimeline, times: list[int | None], *, from_s: float = 100.0, step_s: float = 0.04):
    return [timeline.place(pts, from_s + n * step_s) for n, pts in enumerate(times)]


def connected(base: Fraction = Fraction(1, 90_000), step: int = 0) -> CameraTimeline:
    timeline = CameraTimeline()
    timeline.connect(base, step)
    return timeline


def test_times_begin_at_zero_and_keep_the_cameras_own_steps():
    timeline = connected(Fraction(1, 1000))
    assert play(timeline, [500, 540, 581, 620]) == [(0, True), (3600, False), (7290, False), (10_800, False)]


@pytest.mark.parametrize(("bits", "ticks"), [(33, 90_000), (32, 90_000), (32, 48_000)])
def test_a_counter_that_wraps_around_is_not_seen(bits, ticks):
    step = ticks // 25
    times = [((1 << bits) - 3 * step + n * step) % (1 << bits) for n in range(8)]
    placed = play(connected(Fraction(1, ticks)), times)
    assert [reset for _, reset in placed] == [True] + [False] * 7
    assert [time for time, _ in placed] == pytest.approx([n * STEP for n in range(8)], abs=2)


@pytest.mark.parametrize("jump", [-900_000, 900_000, 1 << 31, -(1 << 40)])
def test_a_jump_goes_on_by_the_clock_on_the_wall(jump):
    times = [n * STEP for n in range(4)] + [jump + n * STEP for n in range(4, 8)]
    placed = play(connected(), times)
    assert [time for time, _ in placed] == [n * STEP for n in range(8)]
    assert [n for n, (_, reset) in enumerate(placed) if reset] == [0, 4]


def test_a_burst_after_a_freeze_keeps_its_steps():
    timeline = connected()
    play(timeline, [n * STEP for n in range(5)])
    late = [timeline.place(n * STEP, 105.0 + n / 1000) for n in range(5, 20)]
    assert late == [(n * STEP, False) for n in range(5, 20)]


def test_a_gap_in_the_cameras_times_stays_and_is_marked():
    timeline = connected()
    play(timeline, [n * STEP for n in range(5)])
    assert timeline.place(4 * STEP + 90_000, 101.2) == (4 * STEP + 90_000, True)


def test_a_slow_camera_has_no_gaps():
    placed = play(connected(step=90_000), [n * 90_000 for n in range(5)], step_s=1.0)
    assert [reset for _, reset in placed] == [True, False, False, False, False]


def test_missing_and_repeated_times_still_go_forward():
    placed = play(connected(step=STEP), [None, 3600, None, 10_800, 10_800, 14_400])
    times = [time for time, _ in placed]
    assert times == sorted(set(times))
    assert times[:4] == [0, 3600, 7200, 10_800]
    assert times[5] == pytest.approx(14_400, abs=2)


def test_a_reconnect_takes_as_long_as_it_took_whatever_the_new_times_are():
    timeline = connected()
    play(timeline, [n * STEP for n in range(5)])
    timeline.connect(Fraction(1, 1000))
    assert timeline.shift is None
    assert timeline.place(77, 100.16 + 7.5) == (4 * STEP + 675_000, True)
    assert timeline.place(117, 100.16 + 7.54) == (5 * STEP + 675_000, False)
    assert timeline.shift == 4 * STEP + 675_000 - 77 * 90


def test_frames_that_never_came_are_counted():
    timeline = connected()
    play(timeline, [n * STEP for n in range(40) if n not in (25, 30, 31)])
    assert timeline.lost == 3
    assert timeline.step == STEP
