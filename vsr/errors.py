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


def redact(text: str) -> str:
    """Replace the user and password of every URL in `text` by `***`."""
    # Up to the last @: passwords hold some, and slashes and question marks where nobody has spelled them out.
    return re.sub(r"(?<=://)(?:[^/\s]+|[^\s/:@]*:\S*)@", "***@", text)


def one_line(error: BaseException, most: int = 200) -> str:
    """What an error of somebody else's says, in a line of so many letters at most; what it is where it says nothing."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def reason_of(error: BaseException) -> str:
    """What the system or FFmpeg says of an error, without the file's name or address that it may bring along."""
    return str(getattr(error, "strerror", None) or error)


class VsrError(Exception):
    """Any failure that vsr explains in one line; credentials in URLs never show."""

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
