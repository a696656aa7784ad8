"""UDP as a file that FFmpeg reads from. FFmpeg's own UDP cannot be read on
after a read that was broken off."""

import ipaddress
import socket
import struct
import threading
from urllib.parse import parse_qs, urlsplit

from vsr.live.address import Address
from vsr.live.cameras.arrivals import await_arrival

_BUFFER = 4 << 20
"""Bytes that the kernel is asked to keep; it may give less."""


class UdpReader:
    """The payloads that arrive at `udp://HOST:PORT`, one after the other; a multicast HOST is joined.

    Ends, as a file does, when `stop` is set or when nothing has come for `patience_s`.

    Args:
        address: HOST is what to listen on, empty for all; `localaddr=` is the interface for multicast.
        stop: looked at several times a second.
        patience_s: time of silence after which it ends.

    Raises:
        OSError: the port is taken, or the host is not one of this machine's.
    """

    def __init__(self, address: Address, stop: threading.Event, *, patience_s: float):
        self._stop, self._patience_s = stop, patience_s
        self.why_over = "the stream ended"
        self._over = False
        parts = urlsplit(address.url)
        family, _, _, _, place = socket.getaddrinfo(parts.hostname, parts.port or 0, type=socket.SOCK_DGRAM)[
            0
        ]
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            host = ipaddress.ip_address(place[0])
            if host.is_multicast:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self._join(host, parse_qs(parts.query).get("localaddr", ["0.0.0.0"])[0])
            self._socket.bind(place)
        except (OSError, ValueError):
            self._socket.close()
            raise

    def _join(self, host: ipaddress.IPv4Address | ipaddress.IPv6Address, interface: str) -> None:
        if isinstance(host, ipaddress.IPv4Address):
            group = host.packed + socket.inet_aton(interface)
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        else:
            self._socket.setsockopt(
                socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, host.packed + struct.pack("@I", 0)
            )

    def read(self, size: int) -> bytes:
        """Return the next payload, at most `size` bytes of it; nothing at the end."""
        while not self._over and await_arrival(
            self._socket.fileno(), self._stop, patience_s=self._patience_s
        ):
            data = self._socket.recv(size)
            if data:
                return data
        self._over = True  # FFmpeg asks several times before it believes that a file has ended
        return b""

    def close(self) -> None:
        self._socket.close()
