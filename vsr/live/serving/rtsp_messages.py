"""Requests of players and our answers to them (RTSP, RFC 2326), bounded in every way."""

import asyncio
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

MOST_HEADER = 8192
"""Bytes of a request's head."""
_MOST_BODY = 4096
_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    459: "Aggregate Operation Not Allowed",
    461: "Unsupported Transport",
    503: "Service Unavailable",
    551: "Option not supported",
}


class BadRequestError(Exception):
    """What came is no RTSP."""


@dataclass(frozen=True, slots=True)
class RtspRequest:
    """What a player wants."""

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    """By names in lower case; of several of a name the last."""

    @property
    def path(self) -> str:
        """What is asked for, without slashes around it."""
        return unquote(urlsplit(self.url).path).strip("/")


@dataclass(frozen=True, slots=True)
class RtspAnswer:
    """What it gets."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""

    def pack(self, number: str) -> bytes:
        """Write it down; `number` is the request's CSeq."""
        lines = [f"RTSP/1.0 {self.status} {_REASONS[self.status]}", f"CSeq: {number}", "Server: vsr"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines += [f"Content-Length: {len(self.body.encode())}"] if self.body else []
        return "\r\n".join([*lines, "", self.body]).encode()


async def read_request(reader: asyncio.StreamReader) -> RtspRequest | None:
    """Read the next request; what is sent in between by the same connection (RFC 2326, 10.12) is passed over.

    Returns:
        None for what was not a request.

    Raises:
        BadRequestError: something else came.
        IncompleteReadError, ConnectionError: the player has gone.
    """
    first = await reader.readexactly(1)
    if first == b"$":
        size = int.from_bytes((await reader.readexactly(3))[1:], "big")
        await reader.readexactly(size)
        return None
    try:
        head = first + await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise BadRequestError from None
    line, *lines = head.decode("utf-8", "replace").strip("\r\n").split("\r\n")
    words = line.split(" ")
    if len(words) != 3 or not words[2].startswith("RTSP/1."):
        raise BadRequestError
    pairs = (one.partition(":") for one in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    size = headers.get("content-length", "0")
    if not size.isdecimal() or int(size) > _MOST_BODY:
        raise BadRequestError
    await reader.readexactly(int(size))
    try:
        urlsplit(words[1])
    except ValueError:
        raise BadRequestError from None
    return RtspRequest(words[0], words[1], headers)
