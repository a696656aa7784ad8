"""Whose request it is, by its headers: Host against DNS rebinding, Origin and Sec-Fetch-Site against other pages in the
same browser. Pure."""

import ipaddress
import socket
from collections.abc import Iterable, Mapping

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Addresses that nobody reaches from another machine."""

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
"""Headers of every answer."""


class OwnHosts:
    """The names by which browsers may call a server.

    Args:
        host: what it listens on; where others reach that, this machine's name and any address are right, too.
        more: further names.
    """

    def __init__(self, host: str, more: Iterable[str]):
        self._any_address = host not in LOOPBACK
        own = [socket.gethostname()] if self._any_address else []
        self._names = {name.lower() for name in (*LOOPBACK, *more, *own)}

    def has(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name = _name_of(host)
        return name in self._names or (self._any_address and _is_address(name))


def _name_of(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _is_address(name: str) -> bool:
    """Whether a host is an address, which no name server can turn to another machine."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_same_site(headers: Mapping[str, str], *, visit: bool) -> bool:
    """Whether a request comes from our own page, or from no page at all.

    Args:
        headers: of the request, by lower-case names, Host among them.
        visit: another page may lead to what is asked for.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    if origin is not None and origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower()):
        return False
    site = headers.get("sec-fetch-site", "none")
    return site in ("same-origin", "none") or (visit and headers.get("sec-fetch-mode") == "navigate")
