"""Certificates of our own for content credentials: a root, and a leaf with the key usages that readers ask for."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


@dataclass(frozen=True)
class Certified:
    chain: Path
    """The leaf's certificate, then the root's."""
    key: Path
    root: Path


def _name(common: str) -> x509.Name:
    names = {NameOID.ORGANIZATION_NAME: "tests", NameOID.COMMON_NAME: common}
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in names.items()])


def _certificate(subject: str, key: Any, issuer: str, by: Any, usages: set[str]) -> x509.Certificate:
    now, is_root = datetime.now(UTC), subject == issuer
    usage = x509.KeyUsage(**{name: name in usages for name in _USAGES})
    builder = x509.CertificateBuilder(
        _name(issuer), _name(subject), key.public_key(), x509.random_serial_number()
    )
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=9))
    for extension, critical in (
        (x509.BasicConstraints(ca=is_root, path_length=None), True),
        (usage, True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), False),
        *([] if is_root else [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), True)]),
    ):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(by, None)


def certified(folder: Path) -> Certified:
    """Make a chain and write it into a folder."""
    made = Certified(folder / "chain.pem", folder / "leaf.key", folder / "root.pem")
    top, key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    root = _certificate("root", top, "root", top, {"key_cert_sign", "crl_sign"})
    leaf = _certificate("leaf", key, "root", top, {"digital_signature"})
    pem = serialization.Encoding.PEM
    made.root.write_bytes(root.public_bytes(pem))
    made.chain.write_bytes(leaf.public_bytes(pem) + root.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    made.key.write_bytes(private)
    return made
