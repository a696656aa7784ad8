"""Who may watch: passwords by Digest (RFC 7616; SHA-256 and MD5) and Basic (RFC 7617), as players know them."""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping

_REALM = "vsr"
_HASHES: dict[str, Callable[[bytes], "hashlib._Hash"]] = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
_PART = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]*))')


class PlayerLogin:
    """Checks what one connection says of itself: its nonce is good for nothing else.

    Args:
        users: passwords by user; others may take their place at any time.
    """

    def __init__(self, users: Mapping[str, str]):
        self.users, self._nonce = users, secrets.token_hex(16)

    @property
    def challenges(self) -> tuple[tuple[str, str], ...]:
        """Headers that say what is accepted. FFmpeg takes the last Digest, and knows MD5 alone."""
        digests = [f'Digest realm="{_REALM}", nonce="{self._nonce}", algorithm={name}' for name in _HASHES]
        # Plain Digest is MD5 (RFC 7616, 3.3), and some know it by that alone.
        plain = [f'Digest realm="{_REALM}", nonce="{self._nonce}"', f'Basic realm="{_REALM}"']
        return tuple(("WWW-Authenticate", value) for value in (digests[0], *plain))

    def allows(self, method: str, header: str) -> bool:
        """Say whether an `Authorization` header is right; takes as long for any wrong one."""
        kind, _, rest = header.strip().partition(" ")
        if kind.lower() == "basic":
            return self._allows_basic(rest)
        if kind.lower() == "digest":
            parts = {name.lower(): quoted or bare for name, quoted, bare in _PART.findall(rest)}
            return self._allows_digest(method, parts)
        return False

    def _allows_basic(self, text: str) -> bool:
        try:
            user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return self._same(user, password, lambda right: right)

    def _allows_digest(self, method: str, parts: Mapping[str, str]) -> bool:
        made_by = _HASHES.get(parts.get("algorithm", "MD5").upper())
        if made_by is None or parts.get("nonce") != self._nonce or parts.get("realm") != _REALM:
            return False
        user = parts.get("username", "")

        def digest(text: str) -> str:
            return made_by(text.encode()).hexdigest()

        def right(password: str) -> str:
            secret, asked = digest(f"{user}:{_REALM}:{password}"), digest(f"{method}:{parts.get('uri', '')}")
            return digest(f"{secret}:{self._nonce}:{asked}")

        return self._same(user, parts.get("response", "").lower(), right)

    def _same(self, user: str, told: str, right: Callable[[str], str]) -> bool:
        known = user in self.users
        expected = right(self.users.get(user, self._nonce))
        return hmac.compare_digest(told.encode(), expected.encode()) and known
