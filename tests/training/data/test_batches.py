"""What networks learn from: footage read, moved, degraded and blurred, and the patches cut from it."""

import itertools
import math
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vsr.errors import ConfigError, SourceError
from vsr.training.data.batches import batches, find_data
from vsr.training.data.blur import filmed, write_blurred
from vsr.training.data.degrade import cleanly
from vsr.training.data.examples import example
from vsr.training.data.footage import find_clips, read_clip, read_picture
from vsr.training.data.motion import MOST_SPEED, moving_clip
from vsr.training.options import TrainOptions


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Soft shapes with some detail, (1, H, W, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    fine = rng.normal(0, 6, (height, width, 3))
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + fine, 0, 255).astype(np.uint8)[None]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b).mean())


@pytest.fixture
def options(tmp_path: Path) -> TrainOptions:
    """Two pictures, a folder of five frames and a folder of two."""
    for name, size in (("one", (64, 80)), ("two", (56, 56))):
        write(tmp_path / "stills" / f"{name}.png", picture(*size, seed=len(name))[0])
    for clip, num in (("long", 5), ("short", 2)):
        for n in range(num):
            write(tmp_path / "clips" / clip / f"im{n}.png", np.roll(picture(48, 64, seed=9)[0], n, axis=1))
    return TrainOptions(
        out=str(tmp_path / "x.safetensors"),
        data=(str(tmp_path / "stills"),),
        batch=3,
        patch=8,
        frames=4,
        scale=2,
    )


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels[..., ::-1])


def first_batch(options: TrainOptions, *, first: int = 0, rank: int = 0, world: int = 1):
    with closing(batches(find_data(options), options, first=first, rank=rank, world=world)) as examples:
        batch = next(examples)
    return batch.low, batch.high


def clips_of(options: TrainOptions, *names: str) -> tuple[str, ...]:
    return tuple(str(Path(options.out).parent / "clips" / name) for name in names)


# Footage


def test_folders_of_frames_and_video_files_are_clips(options, make_clip, tmp_path):
    make_clip("clips/film.mp4", num_frames=4)
    found = find_clips((str(tmp_path / "clips"),))
    assert [path.name for path in found] == ["film.mp4", "long", "short"]


def test_a_video_file_is_read_in_its_own_colours_and_shrunk(make_clip, tmp_path):
    path = make_clip(num_frames=5)
    whole, small = read_clip(path), read_clip(path, shrink=2, frames=3)
    assert whole.shape[0] == 5
    assert small.shape == (3, whole.shape[1] // 2, whole.shape[2] // 2, 3)
    assert whole.dtype == np.uint8
    assert error(cv2.resize(whole[2], small.shape[2:0:-1], interpolation=cv2.INTER_AREA), small[2]) < 1


def test_a_folder_without_clips_is_named(tmp_path):
    with pytest.raises(SourceError, match="no clip in"):
        find_clips((str(tmp_path),))


# Motion


def test_a_moved_still_goes_steadily_and_stays_sharp():
    still = picture(200, 220)
    for seed in range(12):
        clip = moving_clip(still, [], 6, 96, rng(seed))
        assert clip.shape == (6, 96, 96, 3)
        steps = [shift_between(a, b) for a, b in itertools.pairwise(clip)]
        assert all(np.hypot(*step) < 1.5 * MOST_SPEED + 2 for step in steps)


def shift_between(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in (a, b)]
    return cv2.phaseCorrelate(*gray)[0]


def test_half_of_the_moved_stills_keep_every_pixel():
    still = picture(200, 220)
    exact = 0
    for seed in range(20):
        (first, *_) = moving_clip(still, [], 3, 64, rng(seed))
        match = cv2.matchTemplate(still[0], first, cv2.TM_SQDIFF).min()
        exact += match < 1
    assert 5 <= exact <= 15


def test_something_passes_before_some_of_them():
    dark, bright = np.full((1, 90, 90, 3), 20, np.uint8), np.full((1, 90, 90, 3), 230, np.uint8)
    passed = [bool((moving_clip(dark, [bright], 4, 80, rng(seed)) > 200).any()) for seed in range(20)]
    assert 2 <= sum(passed) <= 15


# Blur


def test_filmed_frames_are_blurred_where_their_twins_are_sharp():
    still = picture(96, 112)
    blurred, alone = 0, 0
    for seed in range(30):
        recorded, sharp = filmed(still, 3, rng(seed))
        assert recorded.shape == sharp.shape == (3, 96, 112, 3)
        blurred += (
            cv2.Laplacian(recorded[1], cv2.CV_64F).var() < 0.7 * cv2.Laplacian(sharp[1], cv2.CV_64F).var()
        )
        alone += bool((recorded == recorded[0]).all())
        # The twin lies where the middle of the exposure was: moving it by two pixels must not fit better.
        inner = (slice(24, -24), slice(24, -24))
        here = error(recorded[1][inner], cv2.blur(sharp[1], (5, 5))[inner])
        away = min(
            error(recorded[1][inner], cv2.blur(np.roll(sharp[1], s, a), (5, 5))[inner])
            for s in (-4, 4)
            for a in (0, 1)
        )
        assert here < away * 1.05
    assert 20 <= blurred < 30
    assert 8 <= alone <= 22


def test_the_twin_of_what_was_filmed_is_not_moved_by_parts_of_a_pixel():
    """Nobody can tell a picture from one that is half a pixel to the left: to be judged by it teaches blur."""
    still, moved = cv2.GaussianBlur(rng().integers(0, 256, (160, 160, 3), np.uint8), (0, 0), 1.5)[None], []
    for seed in range(60):
        both = [
            cv2.cvtColor(frames[0, 16:-16, 16:-16], cv2.COLOR_RGB2GRAY).astype(np.float32)
            for frames in filmed(still, 1, rng(seed))
        ]
        window = cv2.createHanningWindow((128, 128), cv2.CV_32F)
        moved.append(math.hypot(*cv2.phaseCorrelate(*both, window)[0]))
    assert np.median(moved) < 0.15  # longer and crooked paths have their weight elsewhere than their middle


# Batches


def test_a_recurrent_batch_is_a_clip_and_its_twin(options):
    options = replace(options, network="recurrent", clips=clips_of(options, "long", "short"))
    low, high = first_batch(options)
    assert low.shape == (3, 4, 1, 8, 8)
    assert high.shape == (3, 4, 1, 16, 16)
    reduced = torch.nn.functional.interpolate(
        high.flatten(0, 1), scale_factor=0.5, mode="bicubic", antialias=True
    )
    assert (reduced - low.flatten(0, 1))[..., 2:-2, 2:-2].abs().max() < 0.05


def test_a_clip_that_is_too_short_goes_forth_and_back(options):
    clip = np.stack([np.full((48, 64, 3), 40 * n, np.uint8) for n in range(3)])
    pair = example(clip, [], replace(options, network="recurrent", frames=7), rng())
    assert [int(frame[0, 0, 0]) for frame in pair.high] == [0, 40, 80, 40, 0, 40, 80]


def test_a_batch_for_deblurring_has_three_frames(options):
    low, high = first_batch(replace(options, network="unet", degradation="blur", scale=1, colors=3))
    assert low.shape == high.shape == (3, 3, 3, 8, 8)


def test_a_real_batch_for_one_frame_shows_one_compressed_frame(options):
    low, high = first_batch(replace(options, degradation="real", colors=3))
    assert low.shape == (3, 1, 3, 8, 8)
    assert high.shape == (3, 1, 3, 16, 16)


def test_examples_are_renewed_and_a_resumed_run_sees_the_same(options):
    options = replace(options, degradation="real", renew=2)
    with closing(batches(find_data(options), options, first=0)) as examples:
        straight = [next(examples).low for _ in range(4)]
    assert torch.equal(first_batch(options, first=3)[0], straight[3])
    kept = replace(options, renew=0)
    assert not torch.equal(first_batch(kept, first=3)[0], straight[3])


def test_processes_share_a_batch_between_them(options):
    whole = first_batch(replace(options, batch=4))
    parts = [first_batch(replace(options, batch=4), rank=rank, world=2) for rank in (0, 1)]
    for index in (0, 1):
        assert torch.equal(torch.stack([parts[0][index], parts[1][index]], 1).flatten(0, 1), whole[index])


def test_twins_are_found_by_name(options, tmp_path):
    for name in ("one", "two"):
        high = read_picture(tmp_path / "stills" / f"{name}.png")
        write(tmp_path / "low" / f"{name}x2.png", 255 - cleanly(high, 2, rng())[0])
    paired = replace(options, low=(str(tmp_path / "low"),), batch=8)
    low, high = first_batch(paired)
    small = torch.nn.functional.interpolate(high[:, 0], scale_factor=0.5, mode="bicubic", antialias=True)
    assert (1 - low[:, 0] - small)[
        ..., 2:-2, 2:-2
    ].abs().max() < 0.05  # the negative tells that the files were read
    (tmp_path / "low" / "twox2.png").unlink()
    with pytest.raises(SourceError, match=r"two\.png has no twin"):
        first_batch(paired)


def test_a_twin_of_another_size_is_refused(options, tmp_path):
    for name in ("one", "two"):
        write(tmp_path / "low" / f"{name}.png", picture(40, 48)[0])
    with pytest.raises(SourceError, match=r"is not one\.png reduced by 2"):
        first_batch(replace(options, low=(str(tmp_path / "low"),)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "unet"}, "scale 1 is"),
        ({"network": "unet", "scale": 1, "patch": 12}, "multiple of 8"),
        ({"degradation": "blur"}, "scale 1 is"),
        ({"network": "recurrent", "low": ("x",)}, "recurrent"),
        ({"low": ("x",), "clips": ("y",)}, "low goes with pictures"),
        ({"shrink": 0.5}, "1 or more"),
        ({"frames": 1}, "2 or more"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, change, message):
    with pytest.raises(ConfigError, match=message):
        replace(options, **change)


@pytest.mark.parametrize("kind", ["motion", "focus"])
def test_a_test_set_of_blur_is_the_same_each_time(tmp_path, kind):
    for name in ("one", "two"):
        write(tmp_path / "sharp" / f"{name}.png", picture(64, 80, seed=len(name) + ord(name[0]))[0])
    sets = []
    for run in ("a", "b"):
        high, low = tmp_path / run / "high", tmp_path / run / "low"
        high.mkdir(parents=True)
        low.mkdir()
        write_blurred(tmp_path / "sharp", kind, high=high, low=low)
        sets.append(
            [read_picture(folder / f"{name}.png") for folder in (high, low) for name in ("one", "two")]
        )
    assert all((a == b).all() for a, b in zip(*sets, strict=True))
    for sharp, blurred in zip(sets[0][:2], sets[0][2:], strict=True):
        assert cv2.Laplacian(blurred[0], cv2.CV_64F).var() < 0.8 * cv2.Laplacian(sharp[0], cv2.CV_64F).var()
