"""The error tree. Every error that a user can cause or meet is one of these.

    VsrError
    ├── SourceError   the input cannot be opened, read or decoded
    │   └── ReadError     the disk or network behind it failed; the same file may do another time
    ├── SinkError     the output cannot be encoded, joined or written
    │   ├── VerifyError   it was written, and differs from what went in (exit code 3)
    │   └── SigningError  what signs records does not; the file is not to blame
    ├── ModelError    a network or checkpoint is unknown, broken or does not fit
    ├── DeviceLostError   a GPU has failed in a way that only another process gets over (exit code 4)
    └── ConfigError   an option's value cannot be used (exit code 2)

A message names what failed, the value, and what would be accepted or what to do next, in one line.
"""

import re
import traceback
from urllib.parse import unquote

_BEGINS = r"([A-Za-z][A-Za-z0-9+.-]{0,30}://|[A-Za-z][A-Za-z0-9+.-]{1,30}:/)"
"""Of an address; a `Path` that means one has swallowed a slash."""
_LOGIN = re.compile(_BEGINS + r"(?:[^/\s]+|[^\s/:@]*:\S*)@")
"""Up to the last @: passwords hold some, and slashes and question marks where nobody has spelled them out."""
_PLACE = re.compile(_BEGINS + r"([^\s/?]*)(\S*)")
_MARKS = "\"'`)]}>.,:;!"
"""With which the sentence goes on that an address stands in."""
_PUBLIC_KEYS = (
    "channel subtype stream profile unicast proto mode latency pkt_size localaddr localport fifo_size "
    "overrun_nonfatal buffer_size reuse ttl timeout resolution fps"
)
"""Keys of an address's query whose values may be shown; cameras, stores and brokers put passwords, signatures and
tokens under any other name."""


def redact(text: str) -> str:
    """Replace what is secret in every address in `text` by `***`: user and password, values of its query, the key of
    an RTMP stream. Whatever leaves this process for somebody's eyes goes through here."""
    return _PLACE.sub(_shown, _LOGIN.sub(r"\1***@", text))


def _shown(found: re.Match[str]) -> str:
    begins, host, rest = found.groups()
    own = rest.rstrip(_MARKS)
    return begins + host + without_secrets(begins, own)[0] + rest[len(own) :]


def without_secrets(begins: str, rest: str) -> tuple[str, list[str]]:
    """Return the path and query of an address, which begins with its scheme, as they may be shown, and what was taken
    out of them: as it stands, and as it is meant."""
    path, mark, query = rest.partition("?")
    hidden: list[str] = []
    if begins.lower().startswith("rtmp") and path.count("/") > 1:
        path, _, key = path.rpartition("/")
        path, hidden = f"{path}/***", [key, unquote(key)]
    shown: list[str] = []
    for pair in query.split("&") if query else []:
        key, equals, value = pair.partition("=")
        if value and key.lower() not in _PUBLIC_KEYS.split():
            hidden += [value, unquote(value)]
            value = "***"
        elif not equals and pair:  # a bare word may be a token
            hidden += [pair]
            key = "***"
        shown.append(f"{key}{equals}{value}")
    return path + mark + "&".join(shown), hidden


def story_of(error: BaseException) -> str:
    """The traceback of an error and of those behind it, some of which are others' and quote addresses."""
    return redact("".join(traceback.format_exception(error)))


def one_line(error: BaseException, most: int = 200) -> str:
    """What an error of somebody else's says, in a line of so many letters at most; what it is where it says nothing."""
    return redact(" ".join(str(error).split()))[:most] or type(error).__name__


def reason_of(error: BaseException) -> str:
    """What the system or FFmpeg says of an error, without the file's name or address that it may bring along."""
    return str(getattr(error, "strerror", None) or error)


class VsrError(Exception):
    """Any failure that vsr explains in one line; what is secret in addresses never shows."""

    def __init__(self, message: str):
        super().__init__(redact(message))


class SourceError(VsrError):
    """The input cannot be opened, read or decoded."""


class ReadError(SourceError):
    """The disk or network behind an input failed, and not the file: it is worth another try."""


class SinkError(VsrError):
    """The output cannot be encoded, joined or written."""

    def __init__(self, message: str, *, exit_code: int | None = None, log: str = ""):
        super().__init__(message)
        self.exit_code = exit_code
        """FFmpeg's exit code, where FFmpeg was what failed."""
        self.log = redact(log)
        """FFmpeg's last lines."""


class VerifyError(SinkError):
    """The finished file differs from what went into the encoder; it stays as `NAME.unverified.EXT`."""


class SigningError(SinkError):
    """The key or program that signs a record does not do so, which says nothing of the file and of who has sent it."""


class ModelError(VsrError):
    """A network or checkpoint is unknown, broken or does not fit the request."""


class DeviceLostError(VsrError):
    """A GPU has failed, and answers nothing in this process any more."""


class ConfigError(VsrError):
    """An option's value cannot be used."""
