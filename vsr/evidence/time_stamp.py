"""Time stamps by RFC 3161: an authority says that it has seen a signature, or an unsigned record, at a time."""

import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vsr.errors import ConfigError, SinkError, VerifyError
from vsr.evidence.signing import needs_extra

STAMP = "record.tsr"
"""The authority's answer, as `openssl ts -reply -in record.tsr -text` shows it."""

_TIMEOUT_S = 20.0
_LARGEST = 1 << 20
"""Bytes of an answer; such have some thousands."""


def stamp_of(content: bytes, authority: str) -> bytes:
    """Have an authority stamp some bytes, of which it gets the SHA-256 alone; returns its answer.

    Args:
        content: what is stamped.
        authority: its address, http or https.

    Raises:
        ConfigError: the address is none.
        SinkError: it does not answer, or with something else.
    """
    parts = urlsplit(authority)
    if (
        parts.scheme not in ("http", "https") or "@" in parts.netloc
    ):  # which urllib would quote half of in an error
        accepted = "http:// and https:// without user and password are accepted"
        raise ConfigError(f"timestamp {authority!r} is no address; {accepted}")
    try:
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder
    except ImportError as error:
        raise needs_extra(error) from None
    asked = TimestampRequestBuilder().data(content).hash_algorithm(HashAlgorithm.SHA256).build()
    headers = {"Content-Type": "application/timestamp-query"}
    request = urllib.request.Request(authority, asked.as_bytes(), headers)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            answer = response.read(_LARGEST)
    except (OSError, ValueError) as error:
        raise SinkError(f"no time stamp: {authority} does not answer ({error})") from None
    given = _read(answer)
    if given is None or given.tst_info.message_imprint.message != asked.message_imprint.message:
        raise SinkError(f"no time stamp: {authority} answers with something else")
    return answer


def _read(answer: bytes) -> Any | None:
    try:
        from rfc3161_client import decode_timestamp_response
    except ImportError as error:
        raise needs_extra(error) from None
    try:
        given = decode_timestamp_response(answer)
        return given if given.status == 0 else None
    except ValueError:
        return None


def check_stamp(answer: bytes, content: bytes, path: Path, roots: Sequence[Path]) -> str:
    """Say when bytes were stamped, and by whom as far as `roots`, certificates of authorities in PEM, can tell.

    Raises:
        VerifyError: the stamp is not of these bytes, or not by whom one of the roots has certified.
        ConfigError: a root cannot be read.
    """
    from hashlib import sha256

    given = _read(answer)
    if given is None:
        raise VerifyError(f"{path}: was changed, or is no time stamp")
    if given.tst_info.message_imprint.message != sha256(content).digest():
        raise VerifyError(f"{path}: is the stamp of something else, or what it stamps was changed")
    time = given.tst_info.gen_time.isoformat()
    if not roots:
        return f"time stamp: {time}; by whom is not looked at, --authority names whom you trust"
    from cryptography.x509 import load_pem_x509_certificates
    from rfc3161_client import VerificationError, VerifierBuilder

    builder = VerifierBuilder()
    for root in roots:
        try:
            for certificate in load_pem_x509_certificates(root.read_bytes()):
                builder = builder.add_root_certificate(certificate)
        except (OSError, ValueError):
            raise ConfigError(f"authority {root} cannot be read; a certificate in PEM is accepted") from None
    try:
        builder.build().verify_message(given, content)
    except (VerificationError, ValueError) as error:
        raise VerifyError(
            f"{path}: is not by {', '.join(map(str, roots))}, or was changed ({error})"
        ) from None
    return f"time stamp: {time}, by an authority that is trusted"
