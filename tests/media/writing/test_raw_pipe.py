"""NUT as we write it: FFmpeg's own demuxer gives back every time and every byte, however little the pipe takes."""

import contextlib
import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import pytest

from vsr.errors import SourceError
from vsr.frames import PictureFormat, Plane
from vsr.media.ffmpeg import find_ffmpeg, find_remuxer
from vsr.media.writing.raw_pipe import RawPipe

FORMATS = [
    PictureFormat(height=35, width=63),
    PictureFormat(height=36, width=64, bit_depth=10),
    PictureFormat(height=36, width=64, layout="yuv422", bit_depth=12),
    PictureFormat(height=36, width=64, layout="rgb", matrix="gbr", range="full"),
    PictureFormat(height=36, width=64, layout="gray", bit_depth=16),
    PictureFormat(height=36, width=64, layout="gray", alpha=True),
    PictureFormat(height=36, width=64, layout="yuv420", alpha=True),
]
TIMES = [0, 1, 3003, 3004, 90_000 * 7200, 2**40]
PROGRAMS = sorted({find_ffmpeg(), find_remuxer(), shutil.which("ffmpeg") or find_ffmpeg()})


def pictures(format: PictureFormat, num: int) -> list[tuple[Plane, ...]]:
    rng = np.random.default_rng(1)
    dtype = np.uint8 if format.bit_depth == 8 else np.uint16
    sizes = [format.plane_size(i) for i in range(format.num_planes)]
    return [tuple(rng.integers(0, 1 << format.bit_depth, size, dtype) for size in sizes) for _ in range(num)]


def as_ffmpeg_has_them(format: PictureFormat, planes: tuple[Plane, ...]) -> bytes:
    if format.layout == "rgb":
        planes = (planes[1], planes[2], planes[0])
    if format.layout == "gray" and format.alpha:
        return np.stack(planes, -1).tobytes()
    return b"".join(plane.tobytes() for plane in planes)


def piped(write: Callable[[int], None], read: Callable[[int], bytes] | None = None) -> bytes:
    """What comes out of a pipe that `write` fills in a thread."""
    read_end, write_end = os.pipe()
    got: list[bytes] = []

    def drain() -> None:
        while data := (read or (lambda end: os.read(end, 1 << 20)))(read_end):
            got.append(data)

    reader = threading.Thread(target=drain)
    reader.start()
    try:
        write(write_end)
    finally:
        reader.join(60)
        os.close(read_end)
    return b"".join(got)


def written(
    format: PictureFormat, planes: list[tuple[Plane, ...]], times: list[int], time_base: Fraction
) -> Callable[[int], None]:
    def write(write_end: int) -> None:
        pipe = RawPipe(write_end, format=format, time_base=time_base)
        with contextlib.closing(pipe):
            for picture, pts in zip(planes, times, strict=True):
                pipe.write(picture, pts)

    return write


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f"{f.layout}-{f.bit_depth}{'-alpha' * f.alpha}")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.split("/")[-1])
def test_ffmpeg_reads_every_byte_and_every_time(program, format):
    time_base = Fraction(1, 90_000)
    planes = pictures(format, len(TIMES))
    nut = piped(written(format, planes, TIMES, time_base))
    hashes = "-fps_mode passthrough -copyts -enc_time_base 1/90000 -f framehash -hash md5 -"
    done = subprocess.run(
        [program, "-v", "error", "-f", "nut", "-i", "pipe:0", "-map", "0:v", *hashes.split()],
        input=nut,
        capture_output=True,
        check=True,
    )
    lines = [line.split(", ") for line in done.stdout.decode().splitlines() if not line.startswith("#")]
    wanted = [hashlib.md5(as_ffmpeg_has_them(format, picture)).hexdigest() for picture in planes]
    assert [int(line[2]) for line in lines] == TIMES
    assert [line[5].strip() for line in lines] == wanted


@pytest.mark.parametrize(
    "time_base", [Fraction(1001, 30_000), Fraction(1, 25), Fraction(1, 10**6), Fraction(7)]
)
def test_any_time_base_is_kept_as_it_is(time_base):
    format, times = PictureFormat(height=4, width=4), [0, 1, 5, 2**33]
    nut = piped(written(format, pictures(format, 4), times, time_base))
    with av.open(io.BytesIO(nut), format="nut") as container:
        stream = container.streams.video[0]
        assert stream.time_base == time_base
        assert [packet.pts for packet in container.demux(stream) if packet.size] == times
        assert all(frame_rate == 24 for frame_rate in (stream.base_rate, stream.guessed_rate))


def test_planes_are_written_wherever_they_lie():
    format = PictureFormat(height=36, width=64)
    whole = pictures(PictureFormat(height=72, width=128), 1)[0]
    views = tuple(
        plane[: size[0], ::2] for plane, size in zip(whole, map(format.plane_size, range(3)), strict=True)
    )
    upside_down = tuple(plane[::-1] for plane in views)
    for planes in (views, upside_down):
        planes[0].flags.writeable = False
        assert not planes[0].flags.c_contiguous
        copied = tuple(plane.copy() for plane in planes)
        assert piped(written(format, [planes], [0], Fraction(1))) == piped(
            written(format, [copied], [0], Fraction(1))
        )


@pytest.mark.parametrize("waits", [True, False])
def test_a_pipe_may_take_as_little_as_it_likes(waits):
    format = PictureFormat(height=90, width=160)
    planes = pictures(format, 3)

    def slowly(write_end: int) -> None:
        pipe = RawPipe(write_end, format=format, time_base=Fraction(1, 25))
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(write_end, waits)
        with contextlib.closing(pipe):
            for pts, picture in enumerate(planes):
                pipe.write(picture, pts)

    whole = piped(written(format, planes, [0, 1, 2], Fraction(1, 25)))
    assert piped(slowly, lambda end: os.read(end, 1000)) == whole


def test_a_blocked_write_ends_when_nobody_reads_any_more():
    format = PictureFormat(height=720, width=1280, layout="yuv444")  # more than a pipe holds
    read_end, write_end = os.pipe()
    pipe = RawPipe(write_end, format=format, time_base=Fraction(1, 25))
    begun = threading.Event()

    def leave() -> None:
        begun.wait(60)
        os.read(read_end, 1 << 20)  # the write is under way
        os.close(read_end)

    reader = threading.Thread(target=leave)
    reader.start()
    begun.set()
    with pytest.raises(BrokenPipeError):
        pipe.write(pictures(format, 1)[0], 0)
    with pytest.raises(BrokenPipeError):
        pipe.write(pictures(format, 1)[0], 1)
    reader.join(60)
    pipe.close()
    pipe.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(write_end)


def test_what_nut_has_no_name_for_is_refused_and_the_pipe_closed():
    read_end, write_end = os.pipe()
    with pytest.raises(SourceError, match="ya16le"):
        RawPipe(
            write_end,
            format=PictureFormat(height=4, width=4, layout="gray", alpha=True, bit_depth=16),
            time_base=Fraction(1),
        )
    assert os.read(read_end, 1) == b""
    os.close(read_end)
