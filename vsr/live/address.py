"""Where a camera or an output is, with its secrets and without.

User and password come from the URL itself, an environment variable or a file. What of a URL is secret is told by
`errors`; everything that is shown, logged or raised goes through `shown` or `redact`.
"""

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from vsr.errors import ConfigError, without_secrets

_PARTS = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<who>[^/?#]*)@)?(?P<host>[^/?#@]*)(?P<rest>.*)", re.S
)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]@\s]*)(:\d{1,5})?")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_SHORTEST_SECRET = 4
"""Shorter secrets are not looked for in other texts: too many words would match."""


@dataclass(frozen=True)
class Address:
    """An address as FFmpeg wants it and as anybody may see it. Made by `resolve`."""

    url: str = field(repr=False)
    """The whole URL, user and password in it, or a path. Never to be printed,
    logged or put on a command line."""
    shown: str
    """The same with `***` for every secret."""
    scheme: str
    """Lower case: `rtsp`, `rtmp`, `http`, `udp`, ...; `file` for a path, `device` for one below /dev."""
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def redact(self, text: str) -> str:
        """Return `text` without what is secret in this address."""
        text = text.replace(self.url, self.shown)
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "***") if len(secret) >= _SHORTEST_SECRET else text
        return text


@dataclass(frozen=True)
class Credentials:
    """Where user and password come from if they are not in the URL."""

    env: str = ""
    """Name of an environment variable that holds USER:PASSWORD."""
    file: str = ""
    """File whose first line is USER:PASSWORD."""

    def read(self) -> tuple[str, str] | None:
        """Return user and password, or None where none are configured.

        Raises:
            ConfigError: the variable is not set, the file cannot be read, or
                USER:PASSWORD is not what is there.
        """
        if not self.env and not self.file:
            return None
        if self.env and self.file:
            raise ConfigError("credentials_env and credentials_file exclude each other; give one of them")
        if self.env:
            what, text = f"environment variable {self.env}", os.environ.get(self.env, "")
        else:
            what = f"credentials file {self.file!r}"
            try:
                text = Path(self.file).read_text(encoding="utf-8").split("\n", 1)[0].strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is not text"
                raise ConfigError(f"{what} cannot be read: {reason}") from None
        user, colon, password = text.partition(":")
        if not colon or not user:
            raise ConfigError(
                f"{what} must hold USER:PASSWORD in one line; {'it does not' if text else 'it is empty'}"
            )
        return user, password


def resolve(url: str, credentials: Credentials = Credentials()) -> Address:
    """Put an address together. Variables and files are read now, so that a changed password is taken up.

    Raises:
        ConfigError: the URL cannot be told apart into its parts, or the credentials cannot be read.
    """
    if _CONTROLS.search(url):
        raise ConfigError(
            "an address holds characters that cannot be printed; it is written in one line without any"
        )
    if "://" not in url:
        path = url.removeprefix("file:")
        return Address(path, path, "device" if path.startswith("/dev/") else "file")
    found = _PARTS.fullmatch(url)
    host = _HOST.fullmatch(found["host"]) if found else None
    if found is None or host is None or not _is_port(host[2] or ":0") or _splits_a_secret(found["rest"]):
        raise ConfigError(
            "a URL cannot be read (it is not shown here, for it may hold a password); write SCHEME://HOST[:PORT]/PATH,"
            " a PORT up to 65535, and @, :, / and ? in a user or password as %40, %3A, %2F and %3F"
        )
    scheme, who, secrets = found["scheme"].lower(), found["who"] or "", list[str]()
    given = credentials.read()
    if given is not None:
        if who:
            raise ConfigError("user and password are in the URL and in credentials; give them once")
        who = ":".join(quote(part, safe="") for part in given)
    for part in who.split(":", 1):
        secrets += [part, unquote(part)]
    rest, hidden = without_secrets(scheme, found["rest"])
    at = f"{who}@" if who else ""
    return Address(
        f"{scheme}://{at}{found['host']}{found['rest']}",
        f"{scheme}://{'***@' if who else ''}{found['host']}{rest}",
        scheme,
        tuple(dict.fromkeys(secret for secret in [*secrets, *hidden] if secret)),
    )


def _is_port(text: str) -> bool:
    return int(text.removeprefix(":")) < 1 << 16


def _splits_a_secret(rest: str) -> bool:
    """Whether what stands after the host has an @ that may end a user and password: `user:12?34@host`."""
    path, _, query = rest.partition("?")
    keys = [pair.partition("=")[0] for pair in query.split("&")]
    return "@" in path or any("@" in key for key in keys) or ("@" in rest and not rest.startswith("/"))


def exposed(path: str | Path) -> bool:
    """Whether others on this machine may read a file, by its mode; False where modes tell nothing."""
    try:
        return os.name == "posix" and bool(os.stat(path).st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return False
