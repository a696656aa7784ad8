"""Opening a camera: protocol by protocol, within what it may reach, and telling a refusal from a dead host.

A container is opened, read and closed by one thread; closing one from another thread crashes PyAV.
"""

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import av
from av import error
from av.codec.hwaccel import HWAccel
from av.container import InputContainer

from vsr.errors import SourceError, VsrError
from vsr.live.address import Address
from vsr.live.cameras.arrivals import Arrivals
from vsr.live.cameras.login import RedirectedError, UnknownLoginError
from vsr.live.cameras.reachable import check_reachable
from vsr.live.cameras.srt_reader import PassphraseError, SrtReader
from vsr.live.cameras.transports import (
    AnyPacket,
    SilentError,
    Transport,
    UnsupportedError,
    open_by,
    to_ask_by,
)
from vsr.live.cameras.udp import UdpReader
from vsr.live.options import CameraOptions
from vsr.media import open_container, pyav_speaks, why_no_nvdec

OPEN_S = 5.0
"""How long opening may take once the host answers."""


class GoneError(SourceError):
    """The camera is not there: a dead host, a closed port, a stream that ended."""


class RefusedError(SourceError):
    """The camera or this FFmpeg says no: wrong password, unknown path, a
    protocol or format that it does not know."""


class LoginError(RefusedError):
    """Wrong user or password. Some cameras lock out who asks again and again."""


@dataclass(frozen=True)
class _Protocol:
    """How FFmpeg reads from addresses of one kind."""

    reaches: str
    """Protocols that may be used on the way: a playlist must not lead to files."""
    formats: str
    """Demuxers that may be used."""
    format: str | None = None
    """The demuxer, where it is known."""
    port: int = 0
    """TCP port of a server that is asked first whether it is there; 0 for none."""
    read_s: float = 0.5
    """Longest time that one read takes, and so the longest time to a stop."""
    resumes: bool = False
    """After a read that took too long the container can be read on. Where FFmpeg buffers by avio, the error stays; by
    TCP, what had been read of a packet is lost, and FFmpeg goes on in the middle of it."""
    analyze_us: int = 1_000_000
    """How far ahead FFmpeg reads to find out about the streams."""


_STREAMED = "mpegts,flv,live_flv,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpjpeg,mjpeg,h264,hevc,aac"
_RTSP = _Protocol(
    "rtsp,rtsps,rtp,srtp,udp,tcp,tls,crypto",
    "rtsp,sdp,rtp,mpegts",
    "rtsp",
    port=554,
    resumes=True,
    analyze_us=100_000,
)
_RTMP = _Protocol("rtmp,rtmps,tcp,tls,crypto", "flv,live_flv", "flv", read_s=2.0)
"""Not asked first: servers that take one connection only, as FFmpeg's, would be lost by it."""
_WEB = _Protocol("http,https,httpproxy,tcp,tls,crypto", _STREAMED, port=80, read_s=2.0)
_HLS = _Protocol(
    "http,https,httpproxy,tcp,tls,crypto,data", f"hls,webvtt,{_STREAMED}", "hls", port=80, read_s=10.0
)
"""A read waits for the next segment."""
_FED = _Protocol("", "mpegts", "mpegts", read_s=60.0)
"""By a reader of ours, which ends earlier."""
_READERS = {"udp": UdpReader, "srt": SrtReader}
_PROTOCOLS = {
    "rtsp": _RTSP,
    "rtsps": _RTSP,
    "rtmp": _RTMP,
    "rtmps": _RTMP,
    "http": _WEB,
    "https": _WEB,
    "srt": _Protocol("srt", "mpegts", "mpegts", read_s=2.0),
    "udp": _FED,
    "device": _Protocol("file", "video4linux2,v4l2", "video4linux2"),
}
_TLS_PORTS = {"rtsps": 322, "https": 443}
_REFUSALS = (
    error.HTTPClientError,
    error.ProtocolNotFoundError,
    error.DemuxerNotFoundError,
    error.PermissionError,
    error.FileNotFoundError,
)


@dataclass(frozen=True)
class CameraConnection:
    """An open camera. The caller closes it, in the thread that opened it."""

    container: InputContainer
    resumes: bool = False
    """The container can be read on after a read that took too long (`ExitError`)."""
    paced: bool = False
    """Pictures come faster than they are to be shown: a file, the segments of HLS."""
    reports: bool = False
    """What the times of sound mean is reported on the way, or never: RTSP."""
    loops: bool = False
    """To be played over and over: a file."""
    transport: Transport | None = None
    """By which RTSP sends; None for all else."""
    first: "AnyPacket | None" = None
    """Has been read already, to see that something comes."""
    feed: Arrivals | None = None
    """What the container reads from, where FFmpeg does not read by itself."""

    @property
    def why_over(self) -> str:
        """Why nothing more comes, where that is the end of the stream."""
        return "the stream ended" if self.feed is None else self.feed.why_over

    def close(self) -> None:
        self.container.close()
        if self.feed is not None:
            self.feed.close()


def connect(
    options: CameraOptions,
    address: Address,
    stop: threading.Event,
    *,
    worked: Transport | None = None,
    gpu: int | None = None,
) -> CameraConnection:
    """Open a camera.

    Args:
        options: how.
        address: where it is, with its secrets.
        stop: ends waiting for an answer.
        worked: `CameraConnection.transport` of the last time, which is tried first now.
        gpu: the one that the networks run on, which then decodes as well; None for a CPU.

    Raises:
        GoneError: nobody is there, or `stop` was set.
        RefusedError: somebody says no; `LoginError` where that is about the password.
    """
    hwaccel = _hwaccel(options.decoder, gpu)
    if address.scheme == "file":
        return _play_file(address, hwaccel)
    protocol = _PROTOCOLS[address.scheme]
    if protocol is _WEB and urlsplit(address.url).path.endswith(".m3u8"):
        protocol = _HLS
    if address.scheme == "srt" and not pyav_speaks("srt"):
        protocol = _FED
    try:
        return _call(options, address, protocol, stop, worked, hwaccel)
    except (error.HTTPUnauthorizedError, error.HTTPForbiddenError) as caught:
        raise LoginError(f"{address.shown}: {_reason(caught)}") from None
    except (*_REFUSALS, RedirectedError, UnsupportedError) as caught:
        raise RefusedError(f"{address.shown}: {_reason(caught)}") from None
    except (UnknownLoginError, PassphraseError) as caught:
        raise LoginError(f"{address.shown}: {caught.strerror}") from None
    except (error.FFmpegError, ValueError, OSError) as caught:
        raise GoneError(f"{address.shown}: {_reason(caught)}") from None


def _call(
    options: CameraOptions,
    address: Address,
    protocol: _Protocol,
    stop: threading.Event,
    worked: Transport | None,
    hwaccel: HWAccel | None,
) -> CameraConnection:
    """`connect` to what is no file, with FFmpeg's errors and the sockets'."""
    with ExitStack() as opened:
        feed = transport = first = None
        if protocol.port:
            port = _TLS_PORTS.get(address.scheme, protocol.port)
            check_reachable(address, port, stop, until=time.monotonic() + OPEN_S)
        if protocol is _FED:
            feed = _READERS[address.scheme](address, stop, patience_s=options.stall_s)
            opened.callback(feed.close)
        if protocol is _RTSP:
            # RTSP by TLS sends by it, too.
            ways = ("tcp",) if address.scheme == "rtsps" else to_ask_by(options.transport, worked)
            container, transport, first = open_by(
                ways,
                lambda way: _open(address.url, protocol, way, hwaccel, stall_s=options.stall_s),
                stop,
                patience_s=max(OPEN_S, options.stall_s),
            )
        else:
            container = _open(feed or address.url, protocol, None, hwaccel)
        opened.pop_all()
    return CameraConnection(
        container,
        protocol.resumes and transport != "tcp",
        paced=protocol is _HLS,
        reports=protocol is _RTSP,
        transport=transport,
        first=first,
        feed=feed,
    )


def _play_file(address: Address, hwaccel: HWAccel | None) -> CameraConnection:
    try:
        return CameraConnection(
            open_container(address.url, hwaccel=hwaccel), resumes=True, paced=True, loops=True
        )
    except VsrError as caught:
        raise RefusedError(str(caught)) from None


def _open(
    where: str | Arrivals,
    protocol: _Protocol,
    transport: Transport | None,
    hwaccel: HWAccel | None,
    *,
    stall_s: float = 0.0,
) -> InputContainer:
    # By TCP a read is broken off only to give the camera up.
    read_s = stall_s if transport == "tcp" else protocol.read_s
    options = {
        "format_whitelist": protocol.formats,
        "fpsprobesize": "0",  # or a second of frames is read to guess their rate
        "analyzeduration": str(protocol.analyze_us),
    }
    if protocol.reaches:
        options["protocol_whitelist"] = protocol.reaches
    if transport:
        options["rtsp_transport"] = transport
    if protocol in (_RTSP, _WEB, _HLS):
        options["timeout"] = str(round(max(OPEN_S, stall_s + 1) * 1e6))
    return cast(
        InputContainer,
        av.open(
            cast(Any, where),
            format=protocol.format,
            options=options,
            timeout=(OPEN_S, read_s),
            metadata_errors="replace",
            hwaccel=hwaccel,
        ),
    )


def _hwaccel(decoder: Literal["auto", "software", "nvdec"], gpu: int | None) -> HWAccel | None:
    """What lets FFmpeg decode on a GPU, None for software. Asked anew each time: drivers come and go."""
    if decoder == "software" or (decoder == "auto" and gpu is None):
        return None
    if not (reason := why_no_nvdec()):
        return HWAccel("cuda", gpu or 0, allow_software_fallback=True)
    if decoder == "nvdec":
        raise RefusedError(f"decoder nvdec cannot be had ({reason}); auto and software are accepted here")
    return None


def _reason(caught: BaseException) -> str:
    """FFmpeg's own words for an error; the rest of its message holds the URL."""
    if isinstance(caught, SilentError | UnsupportedError):
        return str(caught.strerror)
    if isinstance(caught, error.ExitError | error.TimeoutError):
        return "no answer"
    return str(getattr(caught, "strerror", None) or type(caught).__name__).lower()
