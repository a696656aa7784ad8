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
    assert [n for n, (_, reset) in enumerate(placed) if reset] == [0, 5]


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


def test_one_mad_time_is_an_accident_and_costs_nothing():
    timeline = connected()
    times = [n * STEP + (37_600 * 90_000 if n % 5 == 4 else 0) for n in range(30)]
    placed = play(timeline, times)
    assert [time for time, _ in placed] == [n * STEP for n in range(30)]
    assert [reset for _, reset in placed] == [True] + [False] * 29
    assert timeline.shift == 0


@pytest.mark.parametrize("rate", [0.75, 0.99, 1.0001, 1.02, 1.3])
def test_the_clock_on_the_wall_is_kept_whatever_the_cameras_own_does(rate):
    timeline = connected()
    off = [
        time / 90_000 - n * 0.04
        for n, (time, _) in enumerate(play(timeline, [round(n * STEP * rate) for n in range(2500)]))
    ]
    steady = off[500:]
    # It takes seconds to tell a slow clock from a slow network.
    assert max(steady) - min(steady) < 0.1 + 2.5 * max(0.0, 1 - rate)
    assert abs(off[-1] - off[500]) < 0.1 + 2 * max(0.0, 1 - rate)


def test_many_reconnects_with_late_first_frames_do_not_add_up():
    timeline, now = connected(), 100.0
    for _ in range(40):
        timeline.connect(Fraction(1, 90_000))
        timeline.place(0, now + 0.4)  # it comes late, and the next in time
        for n in range(1, 100):
            time, _ = timeline.place(n * STEP, now + n * 0.04)
        now += 99 * 0.04 + 0.5
    assert time / 90_000 == pytest.approx(now - 0.5 - 100, abs=0.5)


def test_stalls_of_the_network_move_nothing():
    timeline, now = connected(), 100.0
    for n in range(2000):
        now = max(now, 100 + n * 0.04) + (0.9 if n % 40 == 39 else 0.001)
        assert timeline.place(n * STEP, now)[0] == pytest.approx(n * STEP, abs=90)
