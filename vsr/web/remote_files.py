"""Files at addresses that a client names: brought to this disk within limits, and results put where it says.

By HTTP to public addresses, as signed ones are, and by S3 with the rights that the container has. Nothing is opened
here: what comes is bytes.
"""

import errno
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from vsr.errors import ConfigError, ReadError, SinkError, SourceError, one_line, redact
from vsr.jobs import LEAST_FREE, free_bytes
from vsr.web.outgoing import READ_S, answer_of, check_url
from vsr.web.problems import ProblemError

_BLOCK = 1 << 20
_S3_BLOCK = 8 << 20
"""Bytes of one request to S3, and of one part of what is put there."""


_PAUSES_S = (0.5, 2.0)
"""Between the attempts to put a result: much work may be in it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a client's addresses may cost."""

    max_bytes: int
    """Of one file."""
    until: float
    """By the monotonic clock."""
    private: bool
    """Addresses that are not public are asked, too."""
    stop: threading.Event
    """The server ends."""

    def check(self) -> None:
        """Raise ProblemError where there is no time left."""
        if self.stop.is_set():
            raise ProblemError(503, "the server ends; send the request again", {"Retry-After": "30"})
        if time.monotonic() > self.until:
            raise ProblemError(503, "moving the files took all the time that a request may take here")

    def check_size(self, num_bytes: int, folder: Path) -> None:
        """Raise ProblemError where a file may not come, or has no room."""
        if num_bytes > self.max_bytes:
            raise ProblemError(
                413, f"the input has {num_bytes} bytes; up to {self.max_bytes} are accepted here"
            )
        if free_bytes(folder) < num_bytes + LEAST_FREE:
            raise ProblemError(507, f"the disk has no room for the {num_bytes} bytes of the input")


_Opened = tuple[int | None, Callable[[int], bytes]]
"""How many bytes there are, as far as that is said, and what reads some of them."""


def check_remote(address: str, terms: Terms) -> None:
    """Raise VsrError for what is no address that can be read from and put to."""
    parts = urlsplit(address)
    if parts.scheme not in _FROM or not parts.netloc or not parts.path.strip("/"):
        raise ConfigError(
            f"{redact(address)[:80]!r} cannot be used; s3://BUCKET/KEY or a signed https address is accepted"
        )
    if parts.scheme != "s3":
        check_url(address, private=terms.private, resolve=True)


def name_at(address: str) -> str:
    """What a file at an address is called."""
    return Path(unquote(urlsplit(address).path)).name


def fetch(address: str, path: Path, terms: Terms) -> None:
    """Bring a file to the disk, whole.

    Raises:
        VsrError, ProblemError: it cannot be had, was cut off, is too large, or takes too long.
    """
    done = 0
    with _FROM[urlsplit(address).scheme](address, terms) as (length, read), path.open("wb") as file:
        terms.check_size(length or 0, path.parent)
        while block := read(_BLOCK):
            terms.check()
            done += len(block)
            if length is None:
                terms.check_size(done, path.parent)
            _write(file, block)
    if length is not None and done != length:
        raise ReadError(f"{address} was cut off at {done} of {length} bytes")


def _write(file: BinaryIO, block: bytes) -> None:
    try:
        file.write(block)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ProblemError(507, "the disk is full; the input does not fit") from None
        raise SinkError(f"the disk fails: {error.strerror}") from None


def hand_over(path: Path, address: str, terms: Terms) -> None:
    """Put a file where a client wants it; what may pass is tried again.

    Raises:
        VsrError, ProblemError: it is not taken, or takes too long.
    """
    for pause_s in _PAUSES_S:
        with suppress(ReadError):
            return _TO[urlsplit(address).scheme](path, address, terms)
        terms.stop.wait(pause_s)
        terms.check()
    return _TO[urlsplit(address).scheme](path, address, terms)


@contextmanager
def _from_http(address: str, terms: Terms) -> Generator[_Opened]:
    with answer_of("GET", address, headers={"Accept-Encoding": "identity"}, private=terms.private) as answer:
        _check_status(answer, address)
        if answer.length is None and not answer.chunked:
            raise SourceError(f"{address} does not say how long the file is; Content-Length is expected")
        yield answer.length, answer.read


def _to_http(path: Path, address: str, terms: Terms) -> None:
    headers = {"Content-Length": str(path.stat().st_size)}
    with path.open("rb") as file:
        body: Any = _Watched(file, terms)
        with answer_of("PUT", address, body=body, headers=headers, private=terms.private) as answer:
            _check_status(answer, address)


class _Watched:
    """A file that is read no further when the time is up."""

    def __init__(self, file: BinaryIO, terms: Terms):
        self._file, self._terms = file, terms

    def read(self, size: int = -1) -> bytes:
        self._terms.check()
        return self._file.read(size)


def _check_status(answer: HTTPResponse, address: str) -> None:
    if answer.status not in (200, 201, 204):
        hint = (
            "; a signed address expires, and is for GET or PUT alone" if answer.status in (400, 403) else ""
        )
        kind = ReadError if answer.status >= 500 else SourceError
        raise kind(f"{address} answers {answer.status} {answer.reason}{hint}")


@contextmanager
def _from_s3(address: str, _terms: Terms) -> Generator[_Opened]:
    with _s3(address) as store, store.open(address, "rb", block_size=_S3_BLOCK) as file:
        yield int(file.size), file.read


def _to_s3(path: Path, address: str, terms: Terms) -> None:
    with _s3(address) as store:
        from fsspec.callbacks import Callback

        watch = Callback(hooks={"terms": lambda *_, **__: terms.check()})
        store.put_file(str(path), address, chunksize=_S3_BLOCK, max_concurrency=2, callback=watch)
        store.invalidate_cache()
        there = int(store.info(address)["size"])
    if there != path.stat().st_size:
        raise ReadError(f"{address} holds {there} bytes of the result's {path.stat().st_size}")


@contextmanager
def _s3(address: str) -> Generator[Any]:
    """S3 as the container may use it; its errors as lines."""
    try:
        import s3fs
        from aiohttp import ClientError as CutOffError
        from botocore.exceptions import BotoCoreError, NoCredentialsError
    except ModuleNotFoundError as error:
        raise ConfigError(f"{address} needs {error.name}; `pip install 'vsr[cloud]'` installs it") from None
    timeouts = {"connect_timeout": 10, "read_timeout": READ_S}
    try:
        yield s3fs.S3FileSystem(config_kwargs=timeouts, use_listings_cache=False, skip_instance_cache=True)
    except NoCredentialsError:
        raise ConfigError(
            f"{address}: this container has no rights for S3; give it a role, or AWS_ACCESS_KEY_ID"
            " and AWS_SECRET_ACCESS_KEY"
        ) from None
    except FileNotFoundError:
        raise SourceError(f"{address} is not there, or may not be looked for by this container") from None
    except PermissionError as error:
        raise SourceError(f"{address} is refused to this container: {one_line(error)}") from None
    except (BotoCoreError, CutOffError, OSError) as error:
        raise ReadError(f"{address}: {one_line(error)}") from None


_FROM: dict[str, Callable[[str, Terms], AbstractContextManager[_Opened]]] = {
    "http": _from_http,
    "https": _from_http,
    "s3": _from_s3,
}
_TO: dict[str, Callable[[Path, str, Terms], None]] = {"http": _to_http, "https": _to_http, "s3": _to_s3}
