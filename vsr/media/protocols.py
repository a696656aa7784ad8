"""Which FFmpeg speaks a protocol: the one inside PyAV has fewer than the programs."""

import subprocess
from functools import cache

import av
from av.error import FFmpegError, ProtocolNotFoundError

from vsr.errors import SinkError
from vsr.media.ffmpeg import ask_ffmpeg, find_ffmpeg, find_remuxer
from vsr.offspring import plain_environment


@cache
def pyav_speaks(protocol: str) -> bool:
    """Say whether PyAV's FFmpeg has a protocol of the network; an address without a host fails at once either way."""
    try:
        av.open(f"{protocol}://").close()
    except ProtocolNotFoundError:
        return False
    except FFmpegError:
        pass
    return True


@cache
def _reads_by(binary: str, protocol: str) -> bool:
    inputs = ask_ffmpeg(binary, "-protocols").partition("Output:")[0]
    return protocol in inputs.split()


@cache
def _takes_hidden_options(binary: str) -> bool:
    """Whether a program does what a preset file says of an output: FFmpeg 5.1 does, 9.0 reads it and forgets it. Tried,
    for what is not done is not complained of either: a checksum that is not the default."""
    words = (
        "-hide_banner -loglevel error -nostdin -f lavfi -i anullsrc -t 0.01 -f hash -fpre /dev/stdin pipe:1"
    )
    try:
        done = subprocess.run(
            [binary, *words.split()],
            env=plain_environment(),
            input=b"hash=MD5\n",
            capture_output=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.stdout.startswith(b"MD5=")


def find_ffmpeg_with(protocol: str, *, hides: bool = False) -> str:
    """Return the path of an FFmpeg program that reads and writes by a protocol: the usual one, else the one in
    imageio-ffmpeg.

    Args:
        protocol: FFmpeg's name of it.
        hides: it must take options of an output by `-fpre`, from a file that no process list shows.

    Raises:
        SinkError: none does.
    """
    programs = dict.fromkeys((find_ffmpeg(), find_remuxer()))
    for binary in programs:
        if _reads_by(binary, protocol) and (not hides or _takes_hidden_options(binary)):
            return binary
    if hides:
        raise SinkError(
            f"no FFmpeg here ({', '.join(programs)}) has {protocol.upper()} and takes what is secret without showing it"
            " in the process list; set VSR_FFMPEG to one that does, as 5.1 does and 9.0 does not"
        )
    raise SinkError(
        f"no FFmpeg here has {protocol.upper()} ({', '.join(programs)}, and the one inside PyAV); install"
        " imageio-ffmpeg, or set VSR_FFMPEG to one that has it"
    )
