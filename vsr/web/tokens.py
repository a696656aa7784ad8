"""Who may ask: the token of a server, of which only a hash is kept, and the sessions of those who logged in with it.

A token is 256 random bits, so that one round of SHA-256 hides it as well as a slow hash would.
"""

import hashlib
import hmac
import os
import re
import secrets
import time
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from vsr.durable import write_whole
from vsr.errors import ConfigError
from vsr.web.store import Store

COOKIE = "vsr_session"
SESSION_S = 30 * 86400

_KIND = "sha256:"


def token_hash(path: Path) -> tuple[str, str]:
    """Read the hash of a token, or make a token where the file does not exist.

    Returns:
        The hash in hex, and the new token; empty where it is an old one.

    Raises:
        ConfigError: the file holds something else, or cannot be read or written.
    """
    try:
        if path.exists():
            line = path.read_text(encoding="ascii", errors="replace").strip()
            if re.fullmatch(f"{_KIND}[0-9a-f]{{64}}", line):
                return line.removeprefix(_KIND), ""
            raise ConfigError(
                f"token file {path} holds no hash; a line of {_KIND} and what `printf %s TOKEN | sha256sum` gives is"
                " accepted, or name a file that does not exist"
            )
        token = secrets.token_urlsafe(32)
        write_whole(path, f"{_KIND}{_hash(token)}\n")
        os.chmod(path, 0o600)
    except OSError as error:
        raise ConfigError(f"token file {path} cannot be read or written: {error.strerror}") from None
    return _hash(token), token


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class Tokens:
    """Tells those who may ask from those who may not."""

    def __init__(self, store: Store, hash: str):
        """`hash` is that of the token; empty where everybody may."""
        self._store, self._wanted = store, hash

    @property
    def are_wanted(self) -> bool:
        return bool(self._wanted)

    def is_right(self, token: str) -> bool:
        """Whether it is the token, in a time that tells nothing of it."""
        return hmac.compare_digest(_hash(token), self._wanted)

    def admits(self, authorization: str, cookie: str) -> bool:
        """Whether a request with these headers may be answered."""
        if not self._wanted:
            return True
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and self.is_right(token.strip()):
            return True
        session = _session_of(cookie)
        return bool(session) and self._store.has_session(_hash(session))

    def log_in(self) -> str:
        """Begin a session; returns what its cookie holds."""
        session = secrets.token_urlsafe(32)
        self._store.add_session(_hash(session), time.time() + SESSION_S)
        return session

    def log_out(self, cookie: str) -> None:
        """End a session."""
        if session := _session_of(cookie):
            self._store.remove_session(_hash(session))


def _session_of(cookie: str) -> str:
    try:
        morsel = SimpleCookie(cookie).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
