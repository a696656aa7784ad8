"""One POST to an address that somebody else has chosen: to public addresses unless told otherwise, to no other than
the one that was looked at, and no further than that."""

import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from vsr.errors import ConfigError

_PORTS = {"http": 80, "https": 443}
_UNICAST, _NAT64 = IPv6Network("2000::/3"), IPv6Network("64:ff9b::/96")


def check_url(url: str, *, private: bool) -> SplitResult:
    """Take an address apart.

    Raises:
        ConfigError: it is no address by HTTP, holds a password, or is written as a number that is not public.
    """
    try:
        parts = urlsplit(url)
        port, host = parts.port or _PORTS.get(parts.scheme, 0), parts.hostname or ""
    except ValueError:
        parts, port, host = urlsplit(""), 0, ""
    is_plain = url.isascii() and url.isprintable() and " " not in url
    if not (is_plain and host and port) or "@" in parts.netloc:
        raise ConfigError(f"webhook {url[:80]!r} is no address; such as https://example.org/done is accepted")
    try:
        numeric = _addresses(host, port, socket.AI_NUMERICHOST)  # asks no name server
    except OSError:
        return parts
    _allowed(host, numeric, private=private)
    return parts


def post(url: str, body: bytes, headers: Mapping[str, str], *, private: bool, limit_s: float) -> int:
    """Send a body; returns the answer's status. No redirect is followed.

    Args:
        url: of `http` or `https`. Its name is resolved once, and what was looked at is what is connected to.
        body: to be sent.
        headers: besides those of HTTP.
        private: addresses of this machine and of its network may be reached, too.
        limit_s: seconds for all of it.

    Raises:
        ConfigError: the name stands for no address that may be reached.
        OSError: it cannot be reached, or takes too long.
        HTTPException: what answers does not speak HTTP.
    """
    parts = check_url(url, private=private)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    address = _allowed(host, _addresses(host, port, 0), private=private)[0]
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    with socket.create_connection((address, port), timeout=limit_s) as line:
        too_late = threading.Timer(
            limit_s, _cut, (line,)
        )  # a timeout of the socket begins anew with each byte
        too_late.start()
        try:
            connection = http.client.HTTPConnection(host, port)
            connection.sock = (
                ssl.create_default_context().wrap_socket(line, server_hostname=host)
                if parts.scheme == "https"
                else line
            )
            connection.request("POST", path, body, {**headers, "Host": parts.netloc})
            return connection.getresponse().status
        finally:
            too_late.cancel()


def _cut(line: socket.socket) -> None:
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:  # it has ended
        return


def _addresses(host: str, port: int, flags: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [str(each[4][0]) for each in found]


def _allowed(host: str, addresses: list[str], *, private: bool) -> list[str]:
    """Those of a name's addresses that may be reached.

    Raises:
        ConfigError: there is none.
    """
    allowed = [each for each in addresses if private or is_public(each)]
    if not allowed:
        raise ConfigError(
            f"webhook to {host} goes to {addresses[0]}, which is not public; a public address is accepted, and any"
            " other by a server with --private-webhooks"
        )
    return allowed


def is_public(address: str) -> bool:
    """Whether an address is one of the internet, reached through no tunnel to one that is not."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        inside = IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else ip.ipv4_mapped or ip.sixtofour
        if inside is None:
            return ip in _UNICAST and ip.is_global
        ip = inside
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
