"""Room on the disk: how much a long job needs, and waiting for it."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from vsr.pulse import beat

LEAST_FREE = 1 << 20
"""Bytes that are wanted in any case."""

_LOOK_EVERY_S = 1.0


def free_bytes(folder: Path) -> int:
    """Return what a user may still write to the file system of `folder`."""
    return shutil.disk_usage(folder).free


def wait_for_room(folder: Path, num_bytes: int, tell: Callable[[str], None]) -> None:
    """Wait until so many bytes are free, and say so once where they are not."""
    if free_bytes(folder) >= num_bytes:
        return
    left, needed = (f"{count / 1e6:.1f} MB" for count in (free_bytes(folder), num_bytes))
    tell(
        f"the disk is full: {folder} has {left} left and {needed} are needed; paused, going on when there is room"
    )
    while free_bytes(folder) < num_bytes:
        beat()
        time.sleep(_LOOK_EVERY_S)
    tell("there is room again, going on")
