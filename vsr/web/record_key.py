"""The key by which a server signs records: found good before the server listens, and no matter of its clients."""

from vsr.evidence import signer_of

NOT_SIGNED = "this server's key does not sign, so there is no record; whoever runs it has been told why"
"""What clients hear of a `SigningError`: why, and where the key lies, is told to who runs the server."""


def told_key(sign: str) -> str:
    """Say by which key records are signed; empty where none is named.

    Raises:
        ConfigError: it cannot sign.
    """
    signer = signer_of(sign)
    return f"records are signed by the key {signer.public_key.hex()}" if signer else ""
