"""The token of a server, of which only a hash is kept.

A token is 256 random bits, so that one round of SHA-256 hides it as well as a slow hash would.
"""

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

from vsr.durable import write_whole
from vsr.errors import ConfigError

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
        write_whole(path, f"{_KIND}{hash_of_token(token)}\n")
        os.chmod(path, 0o600)
    except OSError as error:
        raise ConfigError(f"token file {path} cannot be read or written: {error.strerror}") from None
    return hash_of_token(token), token


def hash_of_token(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def is_the_token(token: str, hash: str) -> bool:
    """Whether a token has that hash, in a time that tells nothing of it."""
    return hmac.compare_digest(hash_of_token(token), hash)
