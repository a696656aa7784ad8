import numpy as np
import pytest

from vsr.live.scheduling.rounds import ReadyFrame, Round, Rounds

SMALL, LARGE = (180, 320), (360, 640)


def ready(*cameras: int, size: tuple[int, int] = SMALL, at: float = 0.0) -> list[ReadyFrame]:
    return [ReadyFrame(camera, size, at) for camera in cameras]


def test_frames_of_equal_size_go_together_oldest_first():
    frames = [
        ReadyFrame(0, SMALL, 3.0),
        ReadyFrame(1, LARGE, 2.0),
        ReadyFrame(2, SMALL, 1.0),
        ReadyFrame(3, LARGE, 0.5),
    ]
    rounds = Rounds(least=4)
    assert rounds.choose(frames, 3.0).cameras == (3, 1)
    assert rounds.choose([frames[0], frames[2]], 3.0).cameras == (2, 0)


def test_nothing_ready_is_nothing_to_do():
    assert Rounds().choose([], 1.0) == Round((), None)


@pytest.mark.parametrize("seed", range(20))
def test_no_camera_comes_twice_before_one_that_waited_then(seed):
    rng = np.random.default_rng(seed)
    sizes = [SMALL, LARGE, SMALL, LARGE, SMALL]
    rounds = Rounds(deadline_s=0.01, least=1 + seed % 3, most=4)
    waiting: dict[int, float] = {}
    passed_over: dict[int, set[int]] = {
        camera: set() for camera in range(5)
    }  # waiting since this one was served
    for tick in range(400):
        now = tick * 0.01
        for camera in range(5):
            if rng.random() < 0.6:
                waiting.setdefault(camera, now)
        chosen = set(rounds.choose([ReadyFrame(c, sizes[c], at) for c, at in waiting.items()], now).cameras)
        assert len({sizes[camera] for camera in chosen}) <= 1
        for camera in chosen:
            assert not passed_over[camera] - chosen
        for camera in chosen:
            passed_over[camera] = set(waiting) - chosen
            del waiting[camera]
        for others in passed_over.values():
            others -= chosen


def test_every_camera_gets_its_share_when_all_are_always_ready():
    rounds = Rounds(least=2, most=2)
    served = [0] * 5
    for tick in range(50):
        for camera in rounds.choose(ready(*range(5)), float(tick)).cameras:
            served[camera] += 1
    assert served == [20] * 5


def serve(rounds: Rounds, cameras: tuple[int, ...], times: list[float]) -> None:
    """Let the cameras have come regularly."""
    for time in times:
        for camera in cameras:
            rounds.choose(ready(camera, at=time), time + 1)


def test_a_round_waits_for_a_frame_that_is_about_to_come_and_no_longer():
    rounds = Rounds(deadline_s=0.02, least=4)
    serve(rounds, (0, 1), [0.0, 0.04, 0.08])
    plan = rounds.choose(ready(0, at=0.115), 0.115)
    assert plan.cameras == ()
    assert plan.wait_s == pytest.approx(0.08 + 0.04 * 1.25 - 0.115)
    assert rounds.choose([*ready(0, at=0.115), *ready(1, at=0.12)], 0.12).cameras == (0, 1)


def test_a_round_does_not_wait_beyond_its_deadline():
    rounds = Rounds(deadline_s=0.005, least=4)
    serve(rounds, (0, 1), [0.0, 0.04, 0.08])
    assert rounds.choose(ready(0, at=0.1), 0.1).cameras == (0,)


def test_a_stalled_camera_is_not_waited_for():
    rounds = Rounds(deadline_s=0.05, least=4)
    serve(rounds, (0, 1), [0.0, 0.04, 0.08])
    assert rounds.choose(ready(0, at=0.5), 0.5).cameras == (0,)


def test_a_camera_of_another_size_or_a_dropped_one_is_not_waited_for():
    rounds = Rounds(deadline_s=0.05, least=4)
    serve(rounds, (0, 1), [0.0, 0.04])
    assert rounds.choose(ready(0, size=LARGE, at=0.07), 0.07).cameras == (0,)
    rounds.drop(1)
    assert rounds.choose(ready(0, at=0.08), 0.08).cameras == (0,)


def test_a_full_batch_waits_for_nobody():
    rounds = Rounds(deadline_s=0.05, least=1, most=1)
    serve(rounds, (0, 1), [0.0, 0.04])
    assert rounds.choose(ready(0, at=0.07), 0.07).cameras == (0,)


def test_the_batch_grows_with_load_up_to_its_limit_and_shrinks_without():
    rounds = Rounds(most=8)
    sizes = [len(rounds.choose(ready(*range(12)), float(tick)).cameras) for tick in range(6)]
    assert sizes == [1, 2, 4, 8, 8, 8]
    for tick in range(20):
        rounds.choose(ready(tick % 2), float(tick))
    assert rounds.batch == 1
