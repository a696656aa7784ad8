"""The key by which a server signs records: found good before the server listens, and no matter of its clients."""

from collections.abc import Callable

from vsr.evidence import signer_of


def told_key(sign: str) -> str:
    """Say by which key records are signed; empty where none is named.

    Raises:
        ConfigError: it cannot sign.
    """
    signer = signer_of(sign)
    return f"records are signed by the key {signer.public_key.hex()}" if signer else ""


def without_key(line: str, tell: Callable[[str], None]) -> str:
    """A line as clients may read it: why a key does not sign, and where it lies, is told to who runs the server."""
    if not line.startswith("sign: "):
        return line
    tell(line)
    return "this server's key does not sign, so there is no record; whoever runs it has been told why"
