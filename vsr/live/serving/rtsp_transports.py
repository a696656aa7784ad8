"""How packets reach a player: within its RTSP connection, or by UDP (RFC 2326, 12.39)."""

import asyncio
import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vsr.errors import ConfigError

_BUFFER = 256 << 10
"""Bytes on their way to a player before sending waits."""
_STUCK_S = 10.0
"""A player that has taken nothing for so long has gone."""
_AT_ONCE = 64
"""Packets sent by UDP before a pause: more would not fit into a player's socket."""
_PAUSE_S = 0.001
_TRIES = 50
_FRAME = struct.Struct("!cBH")


@dataclass(frozen=True, slots=True)
class TransportWish:
    """What a player asks for in a `Transport` header."""

    interleaved: tuple[int, int] | None = None
    """Channels of packets and reports in the connection; (-1, -1) where the player leaves that to us."""
    client_ports: tuple[int, int] | None = None
    """Ports of packets and reports."""


def read_transport(header: str) -> TransportWish | None:
    """Return the first transport that is known; None where there is none."""
    for one in header.split(","):
        kind, *rest = (part.strip() for part in one.split(";"))
        values = {name.lower(): value for name, _, value in (part.partition("=") for part in rest)}
        if "multicast" in values or values.get("mode", "play").strip('"').lower() != "play":
            continue
        if kind.upper() == "RTP/AVP/TCP":
            return TransportWish(interleaved=_pair(values.get("interleaved", ""), 255) or (-1, -1))
        if kind.upper() in ("RTP/AVP", "RTP/AVP/UDP") and (
            ports := _pair(values.get("client_port", ""), 65535)
        ):
            return TransportWish(client_ports=ports) if min(ports) >= 1024 else None
    return None


def _pair(text: str, most: int) -> tuple[int, int] | None:
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text.strip())
    if match is None:
        return None
    first = int(match[1])
    second = int(match[2]) if match[2] else first + 1
    return (first, second) if max(first, second) <= most else None


class Interleaved:
    """Within the player's connection.

    Args:
        writer: of the connection.
        channels: of packets and of reports.
    """

    def __init__(self, writer: asyncio.StreamWriter, channels: tuple[int, int]):
        self._writer, self._channels = writer, channels

    async def send(self, packets: list[bytes], reports: list[bytes]) -> None:
        """As of `Carrier`."""
        if self._writer.is_closing():  # else all that waits would be written to nobody
            raise ConnectionResetError
        framed: list[bytes] = []
        for channel, several in ((self._channels[1], reports), (self._channels[0], packets)):
            for packet in several:
                framed += (_FRAME.pack(b"$", channel, len(packet)), packet)
        self._writer.write(b"".join(framed))
        if self._writer.transport.get_write_buffer_size() > _BUFFER:
            await asyncio.wait_for(self._writer.drain(), _STUCK_S)


def bound_buffers(writer: asyncio.StreamWriter) -> None:
    """Keep little for a player that does not read: it would see later what is old by then."""
    writer.transport.set_write_buffer_limits(high=_BUFFER)
    one = writer.get_extra_info("socket")
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Datagrams:
    """By UDP, to one player.

    Args:
        ports: our pair.
        host: the player's address, that of its connection.
        client_ports: its ports of packets and reports.
    """

    def __init__(self, ports: "UdpPorts", host: str, client_ports: tuple[int, int]):
        self._ports, self._to, self._reports_to = ports, (host, client_ports[0]), (host, client_ports[1])

    async def send(self, packets: list[bytes], reports: list[bytes]) -> None:
        """As of `Carrier`; what the system has no room for is lost, as by UDP it may be anyhow."""
        for report in reports:
            self._ports.reports.sendto(report, self._reports_to)
        for at in range(0, len(packets), _AT_ONCE):
            if at:
                await asyncio.sleep(_PAUSE_S)
            for packet in packets[at : at + _AT_ONCE]:
                self._ports.packets.sendto(packet, self._to)


class _Inbox(asyncio.DatagramProtocol):
    """What comes from players says that they live."""

    def __init__(self, heard: Callable[[tuple[str, int]], None]):
        self._heard = heard

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Take note of whom it is from."""
        self._heard((str(addr[0]), addr[1]))


class UdpPorts:
    """A pair of ports, an even one for packets and the next for reports, shared by all players."""

    def __init__(self, packets: asyncio.DatagramTransport, reports: asyncio.DatagramTransport, first: int):
        self.packets, self.reports = packets, reports
        self.numbers = first, first + 1

    def close(self) -> None:
        """Close both."""
        self.packets.close()
        self.reports.close()


async def open_ports(host: str, heard: Callable[[tuple[str, int]], None]) -> UdpPorts:
    """Open a pair of ports of an address of ours.

    Args:
        host: the address.
        heard: called with the address and port of whoever sends reports.

    Raises:
        ConfigError: there is none.
    """
    loop = asyncio.get_running_loop()
    for _ in range(_TRIES):
        first: Any = None
        try:
            first, _ = await loop.create_datagram_endpoint(lambda: _Inbox(lambda _: None), (host, 0))
            port = first.get_extra_info("sockname")[1]
            if port % 2 == 0 and port < 65535:
                reports, _ = await loop.create_datagram_endpoint(lambda: _Inbox(heard), (host, port + 1))
                return UdpPorts(first, reports, port)
        except OSError:
            pass
        if first is not None:
            first.close()
    raise ConfigError(f"no pair of UDP ports is free at {host}")
