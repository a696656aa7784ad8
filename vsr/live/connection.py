"""Opening a camera: protocol by protocol, within what it may reach, and telling a refusal from a dead host.

A container is opened, read and closed by one thread; closing one from another thread crashes PyAV.
"""

import threading
import time
from dataclasses import dataclass

import av
from av import error
from av.container import InputContainer

from vsr.errors import SourceError, VsrError
from vsr.live.address import Address
from vsr.live.call import call
from vsr.media.probe import open_container

OPEN_S = 5.0
"""How long opening may take once the host answers."""


class GoneError(SourceError):
    """The camera is not there: a dead host, a closed port, a stream that ended."""


class RefusedError(SourceError):
    """The camera or this FFmpeg says no: wrong password, unknown path, a protocol or format that it does not know."""


@dataclass(frozen=True)
class _Protocol:
    """How FFmpeg reads from addresses of one scheme."""

    reaches: str
    """Protocols that may be used on the way: a playlist must not lead to files."""
    format: str | None = None
    """The demuxer; None where FFmpeg finds out."""
    formats: str = ""
    """Demuxers it may choose from."""
    port: int = 0
    """TCP port of a server that is asked first whether it is there; 0 for none."""
    read_s: float = 0.5
    """Longest time that one read takes."""
    resumes: bool = True
    """After a read that took too long, the same container can be read on. Not so where FFmpeg buffers (avio)."""
    analyze_us: int = 100_000
    """How far ahead FFmpeg reads to find out about the streams."""


_RTSP = _Protocol("rtsp,rtsps,rtp,srtp,udp,tcp,tls,crypto", "rtsp", port=554)
_WEB = _Protocol(
    "http,https,httpproxy,tcp,tls,crypto,data",
    formats="hls,mpegts,flv,live_flv,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpjpeg,mjpeg,h264,hevc,aac,webvtt",
    port=80,
    read_s=10.0,
    resumes=False,
    analyze_us=1_000_000,
)
_RTMP = _Protocol("rtmp,rtmps,tcp,tls,crypto", "flv", port=1935, read_s=2.0, resumes=False, analyze_us=1_000_000)
_PROTOCOLS = {
    "rtsp": _RTSP,
    "rtsps": _RTSP,
    "http": _WEB,
    "https": _WEB,
    "rtmp": _RTMP,
    "rtmps": _RTMP,
    "srt": _Protocol("srt", "mpegts", analyze_us=1_000_000, read_s=2.0, resumes=False),
    "udp": _Protocol("udp", "mpegts", analyze_us=1_000_000, read_s=2.0, resumes=False),
    "device": _Protocol("file", "video4linux2,v4l2"),
}
_TLS_PORTS = {"rtsps": 322, "https": 443, "rtmps": 443}
_REFUSALS = (
    error.HTTPClientError,
    error.ProtocolNotFoundError,
    error.DemuxerNotFoundError,
    error.PermissionError,
    error.FileNotFoundError,
    error.InvalidDataError,
)


def connect(address: Address, transport: str, stop: threading.Event) -> tuple[InputContainer, bool]:
    """Open a camera. The caller closes it, in this same thread.

    Returns:
        The container, and whether it can be read on after a read that took too long (`ExitError`).

    Raises:
        GoneError: nobody is there, or `stop` was set.
        RefusedError: somebody says no.
    """
    if address.scheme == "file":
        try:
            return open_container(address.url), True
        except VsrError as caught:
            raise RefusedError(address.redact(str(caught))) from None
    protocol = _PROTOCOLS[address.scheme]
    if protocol.port:
        try:
            call(address, _TLS_PORTS.get(address.scheme, protocol.port), stop, until=time.monotonic() + OPEN_S)
        except OSError as caught:
            raise GoneError(f"{address.shown}: {_reason(caught)}") from None
    options = {
        "protocol_whitelist": protocol.reaches,
        "fpsprobesize": "0",  # or a second of frames is read to guess their rate
        "analyzeduration": str(protocol.analyze_us),
        **({"rtsp_transport": transport} if protocol is _RTSP else {}),
        **({"timeout": str(round(OPEN_S * 1e6))} if protocol.format == "rtsp" or protocol is _WEB else {}),
        **({"format_whitelist": protocol.formats} if protocol.formats else {}),
    }
    try:
        container = av.open(
            address.url, format=protocol.format, options=options, timeout=(OPEN_S, protocol.read_s),
            metadata_errors="replace",
        )  # fmt: skip
    except _REFUSALS as caught:
        raise RefusedError(f"{address.shown}: {_reason(caught)}") from None
    except (error.FFmpegError, ValueError, OSError) as caught:
        raise GoneError(f"{address.shown}: {_reason(caught)}") from None
    return container, protocol.resumes


def _reason(caught: BaseException) -> str:
    """FFmpeg's own words for an error; the rest of its message holds the URL."""
    if isinstance(caught, error.ExitError | error.TimeoutError):
        return "no answer"
    return str(getattr(caught, "strerror", None) or type(caught).__name__).lower()
