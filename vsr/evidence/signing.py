"""Signatures of records, by Ed25519 (RFC 8032): who holds a private key says that a record is his.

`openssl pkeyutl -verify -rawin -pubin -inkey KEY.pub -in record.json -sigfile record.sig` checks one, too.
"""

import os
import subprocess
from pathlib import Path
from typing import Protocol

from vsr.errors import ConfigError, SigningError, SinkError

SIGNATURE = "record.sig"
"""64 bytes over those of the record."""

_PROGRAM = "exec:"
_TIMEOUT_S = 30
"""A card may want its button pressed."""


class RecordSigner(Protocol):
    """Whoever holds a private key: a file here, a card or a server by a class of one's own."""

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        ...

    def sign(self, content: bytes) -> bytes:
        """Return a signature of 64 bytes."""
        ...


class UnusableSignerError(SigningError, ConfigError):
    """What is named to sign cannot: an option that cannot be used, and found before anything is done."""


def needs_extra(error: ImportError) -> ConfigError:
    """What is said where a library of the extra is missing."""
    return ConfigError(f"this needs {error.name}; `pip install 'vsr[evidence]'` installs it")


class KeyFile:
    """A private key in a PEM file, without a password.

    Raises:
        UnusableSignerError: the file cannot be read, or holds no such key.
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
            raise UnusableSignerError(f"sign: key {path} cannot be read: {error.strerror}") from None
        except (ValueError, TypeError):
            raise UnusableSignerError(
                f"sign: {path} holds no private key that can be read; `vsr evidence key` makes one"
            ) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise UnusableSignerError(
                f"sign: {path} holds a key of another kind; Ed25519 is accepted, as `vsr evidence key` makes"
            )
        self._key = key

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def sign(self, content: bytes) -> bytes:
        """Return a signature of 64 bytes."""
        return self._key.sign(content)


def signer_of(named: str) -> RecordSigner | None:
    """Who signs by what was named: a key's file, or `exec:PROGRAM`; None where nothing was.

    Raises:
        UnusableSignerError: it cannot sign.
    """
    if not named:
        return None
    if named.startswith(_PROGRAM):
        return SigningProgram(named.removeprefix(_PROGRAM))
    return KeyFile(Path(named))


def named_key(signer: RecordSigner | None) -> dict[str, str] | None:
    """How a record names who signs it."""
    return {"Ed25519": signer.public_key.hex()} if signer else None


class SigningProgram:
    """A program that holds a private key, or asks whoever does: a card, a security module, a server.

    It is called as `PROGRAM public` and writes the public key in PEM, and as `PROGRAM sign`, reads what is to be signed
    and writes the signature of 64 bytes.

    Raises:
        UnusableSignerError: it cannot be called, or gives no such key.
    """

    def __init__(self, program: str):
        self._program = program
        try:
            pem = self._asked("public", b"")
            self.public_key = public_key_of(pem, f"sign: what {program} public writes")
        except (SigningError, ConfigError) as error:
            raise UnusableSignerError(f"{error}") from None

    def sign(self, content: bytes) -> bytes:
        """Return a signature of 64 bytes.

        Raises:
            SigningError: the program gives another thing.
        """
        signature = self._asked("sign", content)
        if not is_signed_by(self.public_key, content, signature):
            raise SigningError(
                f"sign: {self._program} sign writes {len(signature)} bytes that are no signature by its public key"
            )
        return signature

    def _asked(self, what: str, given: bytes) -> bytes:
        try:
            # With our environment: its owner may keep there what it unlocks the key with.
            done = subprocess.run(
                [self._program, what], input=given, capture_output=True, check=True, timeout=_TIMEOUT_S
            )
        except subprocess.CalledProcessError as error:
            told = error.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise SigningError(
                f"sign: {self._program} {what} fails with code {error.returncode}: {told}"
            ) from None
        except subprocess.TimeoutExpired:
            raise SigningError(f"sign: {self._program} {what} did not end within {_TIMEOUT_S} s") from None
        except OSError as error:
            raise SigningError(f"sign: {self._program} cannot be called: {error.strerror}") from None
        return done.stdout


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
        return public_key_of(path.read_bytes(), f"{path}")
    except OSError as error:
        raise ConfigError(f"key {path} cannot be read: {error.strerror}") from None


def public_key_of(pem: bytes, named: str) -> bytes:
    """Return the 32 bytes of a public key in PEM; `named` says what it should be.

    Raises:
        ConfigError: it is none of Ed25519.
    """
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise needs_extra(error) from None
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(
            f"{named}: is no public key of Ed25519 in PEM, as `vsr evidence key` writes beside the private one"
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
