"""Signatures of records, by Ed25519 (RFC 8032): who holds a private key says that a record is his.

`openssl pkeyutl -verify -rawin -pubin -inkey KEY.pub -in record.json -sigfile record.sig` checks one, too.
"""

import os
from pathlib import Path
from typing import Protocol

from vsr.errors import ConfigError, SinkError

SIGNATURE = "record.sig"
"""64 bytes over those of the record."""


class RecordSigner(Protocol):
    """Whoever holds a private key: a file here, a card or a server by a class of one's own."""

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        ...

    def sign(self, content: bytes) -> bytes:
        """Return a signature of 64 bytes."""
        ...


def needs_extra(error: ImportError) -> ConfigError:
    """What is said where a library of the extra is missing."""
    return ConfigError(f"this needs {error.name}; `pip install 'vsr[evidence]'` installs it")


class KeyFile:
    """A private key in a PEM file, without a password.

    Raises:
        ConfigError: the file cannot be read, or holds no such key.
    """

    def __init__(self, path: Path):
        try:
            from cryptography.hazmat.primitives import serialization
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        except ImportError as error:
            raise needs_extra(error) from None
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), None)
        except OSError as error:
            raise ConfigError(f"key {path} cannot be read: {error.strerror}") from None
        except (ValueError, TypeError):
            raise ConfigError(
                f"{path} holds no private key that can be read; `vsr evidence key` makes one"
            ) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigError(
                f"{path} holds a key of another kind; Ed25519 is accepted, as `vsr evidence key` makes"
            )
        self._key = key

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def sign(self, content: bytes) -> bytes:
        """Return a signature of 64 bytes."""
        return self._key.sign(content)


def make_key(path: Path) -> Path:
    """Write a new private key, which only its owner may read, and beside it the public one, which is to be made known.

    Returns:
        The public key's file, `PATH.pub`.

    Raises:
        SinkError: one of the files is there already, or cannot be written.
    """
    try:
        from cryptography.hazmat.primitives import serialization as written
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise needs_extra(error) from None
    key, public = Ed25519PrivateKey.generate(), path.with_name(f"{path.name}.pub")
    pem = written.Encoding.PEM
    private = key.private_bytes(pem, written.PrivateFormat.PKCS8, written.NoEncryption())
    try:
        _write_new(path, private, 0o600)
        _write_new(
            public, key.public_key().public_bytes(pem, written.PublicFormat.SubjectPublicKeyInfo), 0o644
        )
    except FileExistsError as error:
        raise SinkError(f"{error.filename} exists and is left as it is; name another file") from None
    except OSError as error:
        raise SinkError(f"{error.filename or path} cannot be written: {error.strerror}") from error
    return public


def _write_new(path: Path, content: bytes, mode: int) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_public_key(path: Path) -> bytes:
    """Return the 32 bytes of a public key in a PEM file.

    Raises:
        ConfigError: the file cannot be read, or holds no such key.
    """
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise needs_extra(error) from None
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"key {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(
            f"{path} holds no public key of Ed25519, as `vsr evidence key` writes beside the private one"
        )
    return key.public_bytes_raw()


def is_signed_by(public_key: bytes, content: bytes, signature: bytes) -> bool:
    """Whether a signature is that of a key over a content."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise needs_extra(error) from None
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True
