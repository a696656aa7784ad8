"""Where the clock of a recording jumps back: joined transport streams, a counter that began again.

The pictures after a jump are moved behind those before it when they are read (`decode.Clock`); what is found
here lets the sound follow them. Reads packets, decodes nothing.
"""

import contextlib
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from typing import Any

from av.container import InputContainer
from av.error import FFmpegError
from av.format import Flags
from av.packet import Packet

from vsr.frames import StreamInfo
from vsr.media.probe_video import open_container, packets_of

JUMP_S = Fraction(1)
"""A step back in time by more than this is a jump."""


def find_jumps(source: StreamInfo, original: InputContainer) -> tuple[Fraction | None, tuple[Fraction, ...]]:
    """Return the first picture's time and, for every jump back, the seconds
    that all that follows is moved by.

    Only formats whose clock may jump, those of broadcasts, are read through; others give None and no jump.
    """
    if not original.format.flags & Flags.ts_discont.value:
        return None, ()
    pieces: list[tuple[int, int]] = []
    # The source's own may be finer.
    time_base = Fraction(original.streams[source.stream_index].time_base or 1)
    # What is damaged from some packet on nobody else has read either.
    with open_container(source.path) as again, contextlib.suppress(FFmpegError):
        _collect(packets_of(again, again.streams[source.stream_index]), time_base, pieces)
    moves = tuple((before[1] - after[0]) * time_base for before, after in pairwise(pieces))
    return (pieces[0][0] * time_base if pieces else None), moves


def _collect(packets: Iterable["Packet[Any]"], time_base: Fraction, pieces: list[tuple[int, int]]) -> None:
    """Add the first time and the end of each stretch without a jump."""
    last: int | None = None
    for packet in packets:
        dts = packet.dts if packet.dts is not None else packet.pts
        if not packet.size or dts is None:
            continue
        pts = packet.pts if packet.pts is not None else dts
        if last is None or (last - dts) * time_base > JUMP_S:
            pieces.append((pts, pts))
        first, end = pieces[-1]
        pieces[-1] = (min(first, pts), max(end, pts + max(1, packet.duration or 1)))
        last = dts
