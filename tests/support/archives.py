"""Archives of small pictures and clips."""

import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np

FLAGS = ["--model", "nano", "--preset", "ultrafast", "--threads", "1"]


def picture(path: Path, seed: int = 0) -> Path:
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 255, (20, 30, 3), np.uint8))
    return path


def num_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def wait_until(true: Callable[[], object], timeout_s: float = 240) -> None:
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
