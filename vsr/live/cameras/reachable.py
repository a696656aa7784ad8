"""Asking a server whether it is there, in a way that can be left at any time: opening by FFmpeg cannot."""

import contextlib
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from vsr.live.address import Address
from vsr.live.cameras.login import RedirectedError, check_answer, check_stays, plain_url

_MOST_BYTES = 1 << 16
"""Of an answer's headers."""
_LOOK_MS = 200
"""Time between looks at the stop flag."""
_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_TLS.check_hostname, _TLS.verify_mode = False, ssl.CERT_NONE

T = TypeVar("T")


def check_reachable(address: Address, port: int, stop: threading.Event, *, until: float) -> None:
    """Return when the address's server takes a connection and, where it speaks RTSP, answers.

    An RTSP server is asked for its methods (RFC 2326, 10.1): the kernel takes connections for a frozen one
    too. Looking up a host's name cannot be left early.

    Args:
        address: whom to call, by TCP.
        port: where the URL names none.
        stop: when it is set, the call ends.
        until: time of `time.monotonic()` up to which to wait.

    Raises:
        OSError: the name is not known, nobody answers, or `stop` was set; `strerror` says which.
    """
    parts = urlsplit(address.url)
    try:
        found = socket.getaddrinfo(parts.hostname or "", parts.port or port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError(0, "no such host") from None
    last = OSError(0, "no such host")
    for family, kind, protocol, _, place in found:
        with contextlib.closing(socket.socket(family, kind, protocol)) as caller:
            caller.setblocking(False)
            try:
                return _talk(caller, place, address, stop, until)
            except RedirectedError:
                raise
            except OSError as error:
                last = error
    raise last


def _talk(caller: socket.socket, place: Any, address: Address, stop: threading.Event, until: float) -> None:
    caller.connect_ex(place)
    _await(caller, select.POLLOUT, stop, until)
    failed = caller.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if failed:
        raise OSError(failed, os.strerror(failed))
    if address.scheme == "rtsp":
        _knock(caller, address, stop, until)
    elif address.scheme == "rtsps":  # as FFmpeg has it: no certificate is asked for
        host = urlsplit(address.url).hostname
        with _TLS.wrap_socket(caller, server_hostname=host, do_handshake_on_connect=False) as line:
            _done(line, line.do_handshake, stop, until)
            _knock(line, address, stop, until)


def _knock(line: socket.socket, address: Address, stop: threading.Event, until: float) -> None:
    """See that an RTSP server answers, and sends nobody elsewhere who brings a password."""

    def ask(request: str) -> str:
        _done(line, lambda: line.sendall(request.encode()), stop, until)
        return _answer(line, stop, until)

    answer = ask(f"OPTIONS {plain_url(address)} RTSP/1.0\r\nCSeq: 1\r\n\r\n")
    if address.secrets and "@" in urlsplit(address.url).netloc:
        check_answer(answer, plain_url(address))
        check_stays(address, ask)


def _answer(caller: socket.socket, stop: threading.Event, until: float) -> str:
    """The beginning of what a server says, up to the end of its headers."""
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _MOST_BYTES:
        said = _done(caller, lambda: caller.recv(4096), stop, until)
        if not said:
            raise OSError(0, "the server hung up")
        answer += said
    return answer.decode("utf-8", "replace")


def _done(caller: socket.socket, act: Callable[[], T], stop: threading.Event, until: float) -> T:
    """Do something with a socket that never waits, as soon as it can be done."""
    while True:
        try:
            return act()
        except (BlockingIOError, ssl.SSLWantReadError):
            _await(caller, select.POLLIN, stop, until)
        except ssl.SSLWantWriteError:
            _await(caller, select.POLLOUT, stop, until)


def _await(caller: socket.socket, event: int, stop: threading.Event, until: float) -> None:
    poll = select.poll()
    poll.register(caller, event)
    while not stop.is_set() and time.monotonic() < until:
        if poll.poll(_LOOK_MS):
            return
    raise OSError(0, "stopped" if stop.is_set() else "no answer")
