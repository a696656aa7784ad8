"""Requests to addresses that somebody else has chosen: to public addresses unless told otherwise, and to no other than
the one that was looked at.

A name is resolved once, so that a name server that says something else the second time changes nothing. No proxy is
asked, since it would resolve the name itself.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import IO
from urllib.parse import SplitResult, urljoin, urlsplit

from vsr.errors import ConfigError, ReadError, reason_of, redact

READ_S = 60.0
"""A server that says nothing for longer has gone."""

_CONNECT_S = 10.0
_BLOCK = 1 << 18
"""Bytes of a file that are sent at once."""
_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_UNICAST, _NAT64 = IPv6Network("2000::/3"), IPv6Network("64:ff9b::/96")


def check_url(url: str, *, private: bool, resolve: bool = False) -> SplitResult:
    """Take an address apart.

    Args:
        url: of `http` or `https`.
        private: addresses of this machine and of its network may be reached, too.
        resolve: ask name servers, too.

    Raises:
        ConfigError: it is no address by HTTP, holds a password, or stands for what is not public.
        ReadError: the name is not known.
    """
    try:
        parts = urlsplit(url)
        port, host = parts.port or _PORTS.get(parts.scheme, 0), parts.hostname or ""
    except ValueError:
        parts, port, host = urlsplit(""), 0, ""
    is_plain = url.isascii() and url.isprintable() and " " not in url
    if not (is_plain and host and port and parts.scheme in _PORTS) or "@" in parts.netloc:
        raise ConfigError(f"{redact(url)[:80]!r} is no address; such as https://example.org/done is accepted")
    try:
        found = _addresses(host, port, 0 if resolve else socket.AI_NUMERICHOST)
    except (OSError, UnicodeError) as error:
        if resolve:
            raise ReadError(f"{host} cannot be found: {reason_of(error)}") from None
        return parts
    _allowed(host, found, private=private)
    return parts


def post(url: str, body: bytes, headers: Mapping[str, str], *, private: bool, limit_s: float) -> int:
    """Send a body; returns the answer's status. No redirect is followed.

    Args:
        url: of `http` or `https`.
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
    with _conversation(parts, private=private, limit_s=limit_s) as connection:
        # A timeout of the socket begins anew with each byte.
        too_late = threading.Timer(limit_s, _cut, (connection.sock,))
        too_late.start()
        try:
            connection.request("POST", _target(parts), body, headers)
            return connection.getresponse().status
        finally:
            too_late.cancel()


@contextmanager
def answer_of(
    method: str,
    address: str,
    *,
    body: IO[bytes] | bytes | None = None,
    headers: Mapping[str, str] = {},
    private: bool = False,
) -> Generator[http.client.HTTPResponse]:
    """Ask, and have the answer, whatever its status, while the block runs; a GET is sent on where it is told to.

    Args:
        method: GET, PUT, POST.
        address: http or https.
        body: sent as it is; give Content-Length where it is a file.
        headers: Host and User-Agent come by themselves.
        private: addresses that are not public are asked, too.

    Raises:
        ConfigError: the address cannot be used, or is not public.
        ReadError: nobody answers.
    """
    for _ in range(_MOST_REDIRECTS):
        parts = check_url(address, private=private)
        with _failing(address), _conversation(parts, private=private, limit_s=_CONNECT_S) as connection:
            connection.sock.settimeout(READ_S)
            connection.request(method, _target(parts), body, {"User-Agent": "vsr", **headers})
            answer = connection.getresponse()
            leads_to = answer.getheader("Location", "")
            if method != "GET" or answer.status not in _REDIRECTS or not leads_to:
                yield answer
                return
        before, address = address, urljoin(address, leads_to)
        if before.startswith("https:") and not address.startswith("https:"):
            raise ConfigError(f"{before} leads to {address}, which is not encrypted")
    raise ReadError(f"{address} leads on and on")


def _connected(parts: SplitResult, *, private: bool, limit_s: float) -> socket.socket:
    """A connection to the first of a host's addresses that answers and may be reached."""
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    failed: OSError | None = None
    for address in _allowed(host, _addresses(host, port, 0), private=private):
        try:
            return socket.create_connection((address, port), timeout=limit_s)
        except OSError as error:
            failed = error
    assert failed is not None
    raise failed


@contextmanager
def _conversation(
    parts: SplitResult, *, private: bool, limit_s: float
) -> Generator[http.client.HTTPConnection]:
    """HTTP over a connection that is there, while the block runs."""
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    line = _connected(parts, private=private, limit_s=limit_s)
    if parts.scheme == "http":
        connection = http.client.HTTPConnection(host, port, blocksize=_BLOCK)
        connection.sock = line
    else:
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, port, context=context, blocksize=_BLOCK)
        # Hands are shaken with the first byte: within whatever limit its sender has set.
        connection.sock = context.wrap_socket(line, server_hostname=host, do_handshake_on_connect=False)
    try:
        yield connection
    finally:
        connection.close()


def _target(parts: SplitResult) -> str:
    return f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"


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
            f"{host} is {addresses[0]}, which is not public; a public address is accepted, and any other where"
            " `vsr web --private-webhooks` or `vsr serve --allow-private` lets it"
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


@contextmanager
def _failing(address: str) -> Generator[None]:
    """What ends a conversation, as a line."""
    try:
        yield
    except TimeoutError:
        raise ReadError(f"{address} does not answer in time") from None
    except (http.client.HTTPException, ConnectionError, ssl.SSLError, socket.gaierror) as error:
        raise ReadError(f"{address} cannot be reached: {reason_of(error)}") from None
