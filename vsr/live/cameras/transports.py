"""By TCP or by UDP: an RTSP camera is asked by one after the other, because many send by one alone, and some answer
that they will and then send nothing. Within FFmpeg the choice would be made by the camera's answer only."""

from collections.abc import Callable
from errno import EPROTONOSUPPORT
from threading import Event
from time import monotonic
from typing import Any, Literal, TypeAlias, cast

from av import error
from av.container import InputContainer
from av.packet import Packet

AnyPacket: TypeAlias = "Packet[Any]"  # generic for type checkers only
Transport = Literal["tcp", "udp"]

_IN_TURN: tuple[Transport, ...] = ("tcp", "udp")
_SILENT = (error.ExitError, error.TimeoutError)
_REFUSED = (error.HTTPBadRequestError, error.HTTPOtherClientError)
"""What some answer instead of 461."""


class SilentError(OSError):
    """Nothing comes; `strerror` says how it was asked, and what to try."""


class UnsupportedError(OSError):
    """The camera says that it does not send so; `strerror` as of `SilentError`."""


def to_ask_by(wanted: Literal["auto", "tcp", "udp"], worked: Transport | None) -> tuple[Transport, ...]:
    """The transports to ask by, what `worked` before first."""
    return tuple(sorted(_IN_TURN, key=lambda each: each != worked)) if wanted == "auto" else (wanted,)


def open_by(
    transports: tuple[Transport, ...],
    open_: Callable[[Transport], InputContainer],
    stop: Event,
    *,
    patience_s: float,
) -> tuple[InputContainer, Transport, AnyPacket]:
    """Open by the first of some transports by which anything comes, within `patience_s`.

    Returns:
        What is open, how, and the packet that came first.

    Raises:
        SilentError: nothing comes by one of them at least, and nothing by the others.
        UnsupportedError: the camera refuses all.
        FFmpegError: what another transport would not mend.
    """
    said, silent = list[str](), False
    for transport in transports:
        until = monotonic() + patience_s
        try:
            container = open_(transport)
            return container, transport, _first(container, until, stop)
        except error.FFmpegError as caught:
            if not (isinstance(caught, _SILENT + _REFUSED) or caught.args[:1] == (EPROTONOSUPPORT,)):
                raise
            silent = silent or isinstance(caught, _SILENT)
            what = "nothing comes" if isinstance(caught, _SILENT) else "it does not send"
            said.append(f"{what} by {transport.upper()}")
        if stop.is_set():
            break
    advice = 'transport = "auto" finds what it does'
    if len(transports) > 1:
        advice = "see what its RTSP settings allow, and whether a firewall keeps UDP away"
    raise (SilentError if silent else UnsupportedError)(0, f"{', '.join(said)}; {advice}")


def _first(container: InputContainer, until: float, stop: Event) -> AnyPacket:
    """Wait for the first packet: a container opens without one where the camera has described its pictures.

    Raises:
        FFmpegError: none came, or the camera hung up; the container is closed.
    """
    while True:
        try:
            return next(cast(Any, container.demux()))
        except IndexError:
            continue  # PyAV's way to say that a stream has turned up on the way
        except error.ExitError:
            if monotonic() > until or stop.is_set():
                container.close()
                raise
        except BaseException:
            container.close()
            raise
