"""What recordings hold: how long they are, where they have holes, and how far sound is off its pictures.

Pictures show their number (`support.clips`); sound is A-law whose every packet of 20 ms holds one level, which says
its number (`support.quirky_camera.sound`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from support.clips import read_number
from support.quirk_lot import NUM_FRAMES, RATE

_PACKET_S = 0.02
_TURN = 256
"""Numbers of sound's packets, after which they begin anew."""


@dataclass(frozen=True)
class Recorded:
    """What the recordings of one camera hold together."""

    files: int
    seconds: float
    pictures: int
    longest_step_s: float
    """Between two pictures of a file."""
    off_s: tuple[float, ...]
    """How late sound is for its picture, about once a second of the files that were looked into."""


def read_recordings(folder: Path, *, settled_s: float, every: int = 1) -> Recorded:
    """Read all finished files of a camera.

    Args:
        folder: of one camera.
        settled_s: holes in so many seconds at the beginning of the first file are not counted.
        every: sound and pictures are decoded in each `every`-th file alone.

    Raises:
        FFmpegError: a file cannot be read to its end.
    """
    files = seconds = pictures = longest = 0
    off: list[float] = []
    for path in sorted(folder.glob("*.mkv"), key=lambda path: path.stat().st_mtime_ns):
        times = _times(path)
        if files % every == 0:
            off += _off(path)
        files, pictures = files + 1, pictures + len(times)
        if len(times) < 2:
            continue
        steps = np.diff(times)
        # A file's last picture lasts until the next file's first: not as long as others, where only some are shown.
        seconds += times[-1] - times[0] + 1 / RATE
        counted = steps[np.array(times[1:]) > (settled_s if files == 1 else 0)]
        longest = max(longest, float(counted.max(initial=0)))
    return Recorded(files, seconds, pictures, longest, tuple(off))


def _times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.video[0])
        return sorted(float(one.pts * one.time_base) for one in packets if one.pts is not None)


def _off(path: Path) -> Iterator[float]:
    """How late sound is, by each `RATE`-th picture that follows the one before, where there is sound at its time."""
    shown, heard = _decoded(path)
    begins = np.array([time_s for time_s, _ in heard])
    turn_s = _TURN * _PACKET_S
    for (before_s, before), (time_s, number) in pairwise(shown):
        follows = (number - before) % NUM_FRAMES == 1 and abs(time_s - before_s - 1 / RATE) < 0.5 / RATE
        index = int(np.searchsorted(begins, time_s)) - 1
        if number % RATE or not follows or index < 0 or time_s - begins[index] > 2 * _PACKET_S:
            continue
        heard_s, packet = heard[index]
        late_s = (heard_s - packet * _PACKET_S) - (time_s - number / RATE)
        yield (late_s + turn_s / 2) % turn_s - turn_s / 2


def _decoded(path: Path) -> tuple[list[tuple[float, int]], list[tuple[float, int]]]:
    """Seconds and number of each picture; seconds and number where each packet of sound begins."""
    levels = _alaw_levels()
    shown: list[tuple[float, int]] = []
    heard: list[tuple[float, int]] = []
    last = None
    with av.open(str(path)) as container:
        for frame in container.decode():
            time_s = float((frame.pts or 0) * frame.time_base)
            if isinstance(frame, av.VideoFrame):
                shown.append((time_s, read_number(frame.to_ndarray()[: frame.height])))
                continue
            samples = frame.to_ndarray().reshape(-1)
            for at in (0, *(np.flatnonzero(np.diff(samples)) + 1)):
                if samples[at] != last and int(samples[at]) in levels:
                    heard.append((time_s + at / frame.sample_rate, levels[int(samples[at])]))
                last = samples[at]
    return shown, heard


def _alaw_levels() -> dict[int, int]:
    """Which code has a 16-bit level (ITU-T G.711), by what FFmpeg's decoder makes of it."""
    codec: Any = av.CodecContext.create("pcm_alaw", "r")
    codec.sample_rate, codec.layout = 8000, "mono"
    (frame,) = codec.decode(av.Packet(bytes(range(256))))
    return {int(level): code for code, level in enumerate(frame.to_ndarray().reshape(-1))}
