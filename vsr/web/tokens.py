"""Who may ask: who has the token of the server, and the sessions of those who logged in with it."""

import secrets
import time
from http.cookies import CookieError, SimpleCookie

from vsr.http_safety import hash_of_token, is_the_token
from vsr.web.store import Store

COOKIE = "vsr_session"
SESSION_S = 30 * 86400


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
        return is_the_token(token, self._wanted)

    def admits(self, authorization: str, cookie: str) -> bool:
        """Whether a request with these headers may be answered."""
        if not self._wanted:
            return True
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and self.is_right(token.strip()):
            return True
        session = _session_of(cookie)
        return bool(session) and self._store.has_session(hash_of_token(session))

    def log_in(self) -> str:
        """Begin a session; returns what its cookie holds."""
        session = secrets.token_urlsafe(32)
        self._store.add_session(hash_of_token(session), time.time() + SESSION_S)
        return session

    def log_out(self, cookie: str) -> None:
        """End a session."""
        if session := _session_of(cookie):
            self._store.remove_session(hash_of_token(session))


def _session_of(cookie: str) -> str:
    try:
        morsel = SimpleCookie(cookie).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
