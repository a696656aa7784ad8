"""SOAP 1.2 envelopes: made of text, read with a parser that takes no entities and no document types.

Elements are looked for by their local names: namespaces differ between versions of ONVIF, names do not.
"""

import base64
import hashlib
import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from vsr.errors import ConfigError, SourceError

_SOAP = "http://www.w3.org/2003/05/soap-envelope"
_SECURITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_UTILITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_TOKEN = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0"
_ENCODING = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"


def envelope(body: str, head: str = "") -> bytes:
    """Make an envelope of XML that is well formed."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{_SOAP}">'
        f"<s:Header>{head}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def user_token(user: str, password: str, now: datetime, nonce: bytes | None = None) -> str:
    """Make the header that says who asks: WS-Security's UsernameToken with a digest, so that the password does not
    travel.

    Args:
        user: as the camera knows it.
        password: of the user.
        now: by the camera's clock, in UTC; many refuse what is some seconds off.
        nonce: random bytes; None for new ones.
    """
    nonce, created = nonce or os.urandom(16), now.strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = hashlib.sha1(nonce + created.encode() + password.encode()).digest()
    return (
        f'<Security xmlns="{_SECURITY}" s:mustUnderstand="1"><UsernameToken>'
        f"<Username>{escape(user)}</Username>"
        f'<Password Type="{_TOKEN}#PasswordDigest">{base64.b64encode(digest).decode()}</Password>'
        f'<Nonce EncodingType="{_ENCODING}">{base64.b64encode(nonce).decode()}</Nonce>'
        f'<Created xmlns="{_UTILITY}">{created}</Created></UsernameToken></Security>'
    )


def parse(data: bytes) -> Element:
    """Read an envelope.

    Raises:
        SourceError: it is no XML, or has a document type or entities.
        ConfigError: `defusedxml` is not installed.
    """
    try:
        from defusedxml.common import DefusedXmlException
        from defusedxml.ElementTree import fromstring
    except ImportError:
        raise ConfigError("ONVIF needs defusedxml, the extra `onvif`; pip install defusedxml") from None
    strictly: Any = fromstring
    try:
        return strictly(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise SourceError("what was answered is no SOAP") from None


def all_named(root: Element, name: str) -> Iterator[Element]:
    """Every element of a local name, in order."""
    return (element for element in root.iter() if element.tag.rpartition("}")[2] == name)


def text_at(root: Element, *names: str) -> str:
    """The text below `root` at the first path of such local names, empty where there is none."""
    for name in names:
        found = next(all_named(root, name), None)
        if found is None:
            return ""
        root = found
    return (root.text or "").strip()
