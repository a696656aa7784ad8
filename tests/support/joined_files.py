"""Recordings whose clock begins anew or leaps on the way: pieces that were joined as they were."""

from collections.abc import Sequence
from pathlib import Path

from support.clips import run_ffmpeg

CODING = {
    ".ts": ["-c:v", "copy", "-c:a", "mp2"],
    ".mpg": ["-c:v", "mpeg2video", "-q:v", "2", "-bf", "2", "-c:a", "mp2", "-f", "mpeg"],
    ".flv": ["-c:v", "copy", "-c:a", "aac"],
    ".mkv": ["-c", "copy"],
    ".ogv": ["-c:v", "libtheora", "-q:v", "10", "-c:a", "libvorbis"],
}
"""How a clip with sound comes into each kind."""
_FLV_HEADER = 13
_PACKET = 188


def remux(clip: Path, path: Path, *more: str) -> Path:
    """Bring a clip into the kind of file that the name says."""
    run_ffmpeg("-i", clip, "-map", "0", *CODING[path.suffix], *more, path)
    return path


def join_files(pieces: Sequence[Path], joined: Path) -> Path:
    """Put files behind each other, byte by byte."""
    header = _FLV_HEADER if joined.suffix == ".flv" else 0
    first, *rest = [piece.read_bytes() for piece in pieces]
    joined.write_bytes(first + b"".join(piece[header:] for piece in rest))
    return joined


def spoil_time(path: Path, pid: int, number: int, ticks: int, stream: int = 0xE0) -> None:
    """Add ticks of 1/90000 s to the time of a broadcast's packet with no other time than that of presentation."""
    data = bytearray(path.read_bytes())
    begins = [
        at
        for at in range(0, len(data), _PACKET)
        if data[at + 1] & 0x40 and (data[at + 1] & 0x1F) << 8 | data[at + 2] == pid
    ]
    at = data.index(b"\0\0\1" + bytes([stream]), begins[number]) + 9
    assert data[at - 2] >> 6 == 2, "the packet has a time of decoding, too"
    time = (data[at] >> 1 & 7) << 30 | data[at + 1] << 22 | (data[at + 2] >> 1) << 15 | data[at + 3] << 7
    time = (time | data[at + 4] >> 1) + ticks
    data[at : at + 5] = [
        0x21 | time >> 29 & 14, time >> 22 & 255, time >> 14 & 254 | 1, time >> 7 & 255, time << 1 & 254 | 1,
    ]  # fmt: skip
    path.write_bytes(data)
