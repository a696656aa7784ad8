"""Fetching one file of known size over HTTPS, going on where an earlier attempt was cut.

By the standard library: it knows proxies and the system's certificates, and what a library
would add on top (pools, sessions, HTTP/2) serves nobody who fetches one file. Resuming, which
we need, none of them does either.
"""

import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from io import FileIO
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Any, Literal
from urllib.parse import urlsplit

from vsr.errors import ModelError

PAUSES_S = (1.0, 3.0, 10.0)
"""Between the attempts of one download; a connection may be cut so many times."""

_TIMEOUT_S = 30.0
_BLOCK = 1 << 16
_TRY_AGAIN = (408, 429, 500, 502, 503, 504)
"""HTTP's codes for what may pass: timeouts, too many requests, a server in trouble (RFC 9110)."""


def download(address: str, partial: Path, *, num_bytes: int, progress: Callable[[int], None]) -> None:
    """Fetch a file; what `partial` holds of it already is not fetched again.

    Args:
        address: https, or http on this very machine.
        partial: written to; kept when the download fails, so that the next one goes on there.
        num_bytes: size of the whole file.
        progress: told how many bytes there are.

    Raises:
        ModelError: the server cannot be reached, has no such file or another one, or the disk is full.
    """
    check_address(address)
    for pause in (*PAUSES_S, None):
        if _size(partial) == num_bytes:
            return
        had = _size(partial)
        try:
            _receive(address, partial, num_bytes, progress)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in _TRY_AGAIN or pause is None:
                raise ModelError(f"{address} answers {error.code} {error.reason}") from None
        except (OSError, http.client.HTTPException) as error:
            if pause is None or (had == 0 and _size(partial) == 0):
                raise ModelError(_unreachable(address, error)) from None
        if _size(partial) == num_bytes:
            return
        if pause is not None:
            time.sleep(pause)
    cut = f"{_size(partial)} of {num_bytes} bytes"
    raise ModelError(f"{address} was cut off at {cut} again and again; the same command goes on there")


def check_address(address: str, *, before: str = "") -> None:
    """Refuse what is not encrypted, unless it is on this very machine.

    Args:
        address: to be opened.
        before: the address that leads there; an encrypted one must not lead to one that is not.

    Raises:
        ModelError: the address is refused.
    """
    parts = urlsplit(address)
    local = parts.scheme == "http" and _is_loopback(parts.hostname or "")
    if parts.scheme != "https" and not (local and not before.startswith("https:")):
        raise ModelError(f"{before + ' leads to ' if before else ''}{address} is refused; https is expected")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to encrypted addresses alone."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        check_address(newurl, before=req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _receive(address: str, partial: Path, num_bytes: int, progress: Callable[[int], None]) -> None:
    """Append to what there is, or begin again where the server does not go on from there."""
    done = _size(partial)
    headers = {"User-Agent": "vsr", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    request = urllib.request.Request(address, headers=headers)
    try:
        response = urllib.request.build_opener(_Redirects).open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        error.close()
        partial.unlink()  # the server's file is shorter than what is here of it
        return
    goes_on = response.status == http.client.PARTIAL_CONTENT
    done = done if goes_on else 0
    with response:
        _check_size(address, response, done, num_bytes)
        with _opened(partial, "ab" if goes_on else "wb") as file:
            while done < num_bytes and (block := response.read(min(_BLOCK, num_bytes - done))):
                _put(file, block)
                done += len(block)
                progress(done)


def _check_size(address: str, response: Any, begin: int, num_bytes: int) -> None:
    """Refuse another file than the one expected, such as a page that asks for a
    password, before a byte is written."""
    offered = f"bytes */{response.headers.get('Content-Length') or num_bytes}"
    if response.status == http.client.PARTIAL_CONTENT:
        offered = response.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", offered.strip())
    if found is None or int(found[1] or 0) != begin or found[2] not in (str(num_bytes), "*"):
        kind = response.headers.get("Content-Type", "unknown")
        raise ModelError(
            f"{address} offers another file ({kind}, {offered.rpartition('/')[2] or 'no'} bytes, {num_bytes} expected)"
        )


def _opened(partial: Path, mode: Literal["ab", "wb"]) -> FileIO:
    try:
        return FileIO(partial, mode)
    except OSError as error:
        raise _no_place(partial, error) from None


def _put(file: FileIO, block: bytes) -> None:
    """Write all of it; an error of the disk must not look like one of the network."""
    rest = memoryview(block)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise _no_place(Path(os.fsdecode(file.name)), error) from None


def _no_place(partial: Path, error: OSError) -> ModelError:
    return ModelError(f"{partial.parent} cannot take the file: {error.strerror}; what is there of it is kept")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _unreachable(address: str, error: Exception) -> str:
    reason = getattr(error, "reason", error)
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return f"{urlsplit(address).hostname} cannot be reached ({text}); is this machine online? --from takes a local copy"
