"""Whether an RTSP server that takes a password sends its callers elsewhere: FFmpeg would follow, and bring along the
password to whoever is there. So we knock first."""

import base64
import hashlib
import re
from collections.abc import Callable
from urllib.parse import unquote, urlsplit, urlunsplit

from vsr.live.address import Address

Ask = Callable[[str], str]
"""Sends a request; returns the answer's status line and headers."""


class RedirectedError(OSError):
    """The server names another place."""


class UnknownLoginError(OSError):
    """The server wants a password in a way that FFmpeg does not know."""


def check_stays(address: Address, ask: Ask) -> None:
    """Ask a server as FFmpeg will, without and with the password, and see that it sends to nobody else.

    Raises:
        RedirectedError: it does.
        UnknownLoginError: it wants the password in a way that FFmpeg does not know.
    """
    plain = plain_url(address)
    answer = _asked(ask, plain, 2)
    challenge = _challenge(answer)
    if challenge is not None:
        _asked(ask, plain, 3, f"Authorization: {_authorization(address, plain, *challenge)}\r\n")


def plain_url(address: Address) -> str:
    """The address without user and password."""
    parts = urlsplit(address.url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def check_answer(answer: str, plain: str) -> None:
    """Raise RedirectedError where an answer sends to another host or port."""
    if not re.match(r"RTSP/1\.\d 3\d\d", answer):
        return
    found = re.search(r"(?im)^location:\s*(\S+)", answer)
    to, here = _place(found[1]) if found else None, _place(plain)
    if to != here:
        where = f"{to[0]}:{to[1]}" if to is not None else "nobody"
        raise RedirectedError(
            0, f"it sends to {where}, which gets no password; give that address if it is right"
        )


def _place(url: str) -> tuple[str | None, int]:
    """Host and port, with FFmpeg's where none is named."""
    parts = urlsplit(url)
    return parts.hostname, parts.port or (322 if parts.scheme == "rtsps" else 554)


def _asked(ask: Ask, plain: str, number: int, more: str = "") -> str:
    answer = ask(f"DESCRIBE {plain} RTSP/1.0\r\nCSeq: {number}\r\nAccept: application/sdp\r\n{more}\r\n")
    check_answer(answer, plain)
    return answer


def _challenge(answer: str) -> tuple[str, dict[str, str]] | None:
    """The scheme that a server wants a password by, and its values; Digest where it takes either."""
    if not re.match(r"RTSP/1\.\d 401", answer):
        return None
    offered, unknown = dict[str, dict[str, str]](), ""
    for kind, rest in re.findall(r"(?im)^www-authenticate:\s*(\w+)\s*(.*?)\r?$", answer):
        values = dict(re.findall(r'(\w+)="?([^",]*)"?', rest))
        how = values.get("algorithm", "MD5")
        if kind.lower() == "digest" and how.upper() != "MD5":
            unknown = how
        else:
            offered[kind.lower()] = values
    if unknown and not offered:
        raise UnknownLoginError(
            0,
            f"it takes a password by digest with {unknown} alone, FFmpeg by MD5 or Basic; allow one of them there",
        )
    kind = "digest" if "digest" in offered else "basic" if "basic" in offered else ""
    return (kind, offered[kind]) if kind else None


def _authorization(address: Address, plain: str, kind: str, given: dict[str, str]) -> str:
    """RFC 7617 and RFC 2617, 3.2.2, without qop, as RTSP servers take it."""
    who = urlsplit(address.url).netloc.rpartition("@")[0]
    user, _, password = (unquote(part) for part in who.partition(":"))
    if kind == "basic":
        return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    realm, nonce = given.get("realm", ""), given.get("nonce", "")
    secret, what = _md5(f"{user}:{realm}:{password}"), _md5(f"DESCRIBE:{plain}")
    values = {"username": user, "realm": realm, "nonce": nonce, "uri": plain}
    values["response"] = _md5(f"{secret}:{nonce}:{what}")
    return "Digest " + ", ".join(f'{name}="{value}"' for name, value in values.items())


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
