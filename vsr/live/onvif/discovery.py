"""Cameras found by WS-Discovery (OASIS, April 2005): one question by multicast, and whoever answers in time.

An own question and no library: those that there are keep threads and answer for services of their own.
"""

import socket
import time
import uuid
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from vsr.errors import ConfigError, SourceError
from vsr.live.onvif.envelope import all_named, envelope, parse, text_at

_GROUP, _PORT = "239.255.255.250", 3702
_ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
_DISCOVERY = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
_NETWORK = "http://www.onvif.org/ver10/network/wsdl"
_MOST = 256
"""Cameras that are taken note of."""
_MOST_BYTES = 1 << 16
_NAME = "onvif://www.onvif.org/name/"


@dataclass(frozen=True)
class FoundCamera:
    """A camera that has answered."""

    service: str
    """URL of its device service."""
    name: str = ""
    """As it calls itself."""


def find_cameras(interface: str, *, wait_s: float = 3.0, port: int = _PORT) -> list[FoundCamera]:
    """Ask the network of an interface for cameras.

    Args:
        interface: IPv4 address of this machine in that network.
        wait_s: how long answers are waited for.
        port: UDP port of the question.

    Returns:
        Each camera once, by the address that answered; nothing else about it has been checked.

    Raises:
        ConfigError: this machine has no such address.
    """
    question = uuid.uuid4().urn
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
            asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
            asking.bind((interface, 0))
            for _ in range(2):  # datagrams get lost
                asking.sendto(_probe(question), (_GROUP, port))
        except OSError as error:
            raise ConfigError(
                f"interface {interface!r} cannot be used ({error.strerror or error}); an IPv4 address that this machine"
                " has in the cameras' network is accepted"
            ) from None
        found: dict[str, FoundCamera] = {}
        until = time.monotonic() + wait_s
        while len(found) < _MOST and (left_s := until - time.monotonic()) > 0:
            asking.settimeout(left_s)
            try:
                answer, (host, _) = asking.recvfrom(_MOST_BYTES)
            except TimeoutError:
                break
            camera = _camera(answer, question, host)
            if camera is not None:
                found.setdefault(camera.service, camera)
    return list(found.values())


def _probe(question: str) -> bytes:
    head = (
        f'<MessageID xmlns="{_ADDRESSING}">{question}</MessageID>'
        f'<To xmlns="{_ADDRESSING}">urn:schemas-xmlsoap-org:ws:2005:04:discovery</To>'
        f'<Action xmlns="{_ADDRESSING}">{_DISCOVERY}/Probe</Action>'
    )
    types = f'<Types xmlns:n="{_NETWORK}">n:NetworkVideoTransmitter</Types>'
    return envelope(f'<Probe xmlns="{_DISCOVERY}">{types}</Probe>', head)


def _camera(answer: bytes, question: str, host: str) -> FoundCamera | None:
    """Read an answer; None where it is none, or leads to another host than the one that sent it."""
    try:
        root = parse(answer)
    except SourceError:
        return None
    if text_at(root, "RelatesTo") != question:
        return None
    for match in all_named(root, "ProbeMatch"):
        for service in text_at(match, "XAddrs").split():
            if service.startswith(("http://", "https://")) and _host(service) == host:
                names = [scope for scope in text_at(match, "Scopes").split() if scope.startswith(_NAME)]
                return FoundCamera(service, unquote(names[0].removeprefix(_NAME)) if names else "")
    return None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
