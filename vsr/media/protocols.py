"""Which FFmpeg speaks a protocol: the one inside PyAV has fewer than the programs."""

from functools import cache

import av
from av.error import FFmpegError, ProtocolNotFoundError

from vsr.errors import SinkError
from vsr.media.ffmpeg import ask_ffmpeg, find_ffmpeg, find_remuxer


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


def find_ffmpeg_with(protocol: str) -> str:
    """Return the path of an FFmpeg program that reads by a protocol: the usual one, else the one in imageio-ffmpeg.

    Raises:
        SinkError: none does.
    """
    programs = dict.fromkeys((find_ffmpeg(), find_remuxer()))
    for binary in programs:
        if _reads_by(binary, protocol):
            return binary
    raise SinkError(
        f"no FFmpeg here has {protocol.upper()} ({', '.join(programs)}, and the one inside PyAV); install"
        " imageio-ffmpeg, or set VSR_FFMPEG to one that has it"
    )
