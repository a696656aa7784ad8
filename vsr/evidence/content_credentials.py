"""Content credentials (C2PA) in results, or beside those that cannot hold them: what was done, signed, for any reader.

They are put in last, as any later change of the file breaks them, and taken away by programs that do not know them.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from vsr import __version__
from vsr.durable import whole, write_whole
from vsr.errors import ConfigError, SinkError
from vsr.evidence.signing import needs_extra

HOLDING = {".mp4", ".m4v", ".mov", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".avif"}
"""Endings of files that hold credentials themselves."""

_TYPES = {".mkv": "video/x-matroska", ".webm": "video/webm"}
"""Media types of some that do not."""

_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
"""IPTC's vocabulary of where pictures come from."""


@dataclass(frozen=True)
class Credential:
    """A certificate, with those that vouch for it, and its private key, as PEM; authorities give out such."""

    chain: bytes
    key: bytes
    algorithm: str
    """`ed25519`, `es256`, `es384` or `ps256`."""

    @classmethod
    def read(cls, chain: Path, key: Path) -> "Credential":
        """Read both from their files.

        Raises:
            ConfigError: one cannot be read, or they do not belong together.
        """
        try:
            from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
            from cryptography.hazmat.primitives.serialization import load_pem_private_key
            from cryptography.x509 import load_pem_x509_certificates
        except ImportError as error:
            raise needs_extra(error) from None
        try:
            private = load_pem_private_key(key.read_bytes(), None)
            leaf = load_pem_x509_certificates(chain.read_bytes())[0]
        except OSError as error:
            raise ConfigError(f"{error.filename} cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, IndexError):
            raise ConfigError(
                f"{chain} and {key} are no certificates, own one first, and its key, in PEM"
            ) from None
        if leaf.public_key() != private.public_key():
            raise ConfigError(f"{key} is not the key of the first certificate in {chain}")
        curves = {"secp256r1": "es256", "secp384r1": "es384"}
        if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in curves:
            algorithm = curves[private.curve.name]
        elif isinstance(private, ed25519.Ed25519PrivateKey):
            algorithm = "ed25519"
        elif isinstance(private, rsa.RSAPrivateKey):
            algorithm = "ps256"
        else:
            raise ConfigError(
                f"{key} is of a kind that C2PA does not know; Ed25519, P-256, P-384 and RSA are accepted"
            )
        return cls(chain.read_bytes(), key.read_bytes(), algorithm)


@dataclass(frozen=True)
class Deeds:
    """What credentials tell."""

    models: tuple[str, ...]
    generative: bool
    """A model may have painted what is not in the source."""
    resized: bool
    cropped: bool
    recoloured: bool
    labelled: bool
    source_sha256: str

    def manifest(self, title: str) -> dict[str, Any]:
        """The manifest of a file of this name."""
        agent = {"name": "vsr", "version": __version__}
        kind = "compositeWithTrainedAlgorithmicMedia" if self.generative else "algorithmicallyEnhanced"
        enhanced = {
            "description": " + ".join(self.models) or "no network",
            "digitalSourceType": _SOURCE_TYPE + kind,
        }
        wanted = [
            ("c2pa.opened", True, {"parameters": {"ingredientIds": ["source"]}}),
            ("c2pa.cropped", self.cropped, {}),
            ("c2pa.color_adjustments", self.recoloured, {}),
            ("c2pa.enhanced", True, enhanced),
            ("c2pa.resized", self.resized, {}),
            ("c2pa.edited", self.labelled, {"description": "a label was written on every picture"}),
            ("c2pa.transcoded", True, {}),
        ]
        actions = [
            {"action": name, "softwareAgent": agent, **more} for name, is_done, more in wanted if is_done
        ]
        record = {
            "source_sha256": self.source_sha256,
            "models": list(self.models),
            "generative": self.generative,
        }
        return {
            "claim_generator_info": [agent],
            "title": title,
            "assertions": [
                {"label": "c2pa.actions.v2", "data": {"actions": actions}},
                {"label": "vsr.record", "data": record},
            ],
        }


def sidecar_path(result: Path) -> Path:
    """Where the credentials of a file lie that cannot hold them."""
    return result.with_name(f"{result.name}.c2pa")


def put_credentials(
    result: Path, source: Path, deeds: Deeds, credential: Credential, *, replace: bool = True
) -> Path:
    """Put credentials into a result, with its source as the parent; returns the file that holds them.

    Args:
        result: the finished file, which is written anew.
        source: of which it was made.
        deeds: what was done.
        credential: by whom.
        replace: what bears a sidecar's name may lose it.

    Raises:
        ConfigError: the certificate is refused, as one that has signed itself is.
        SinkError: the file cannot be written.
    """
    c2pa = _library()
    inside = result.suffix.lower() in HOLDING
    signer = c2pa.C2paSignerInfo(credential.algorithm, credential.chain, credential.key, None)
    try:
        settings = {"verify": {"verify_after_sign": True}, "builder": {"thumbnail": {"enabled": False}}}
        with c2pa.Signer.from_info(signer) as signing:
            builder = c2pa.Builder(json.dumps(deeds.manifest(result.name)), context=_context(settings))
            parent = {"title": source.name, "relationship": "parentOf", "label": "source"}
            with source.open("rb") as file:
                builder.add_ingredient(parent, _media_type(source), file)
            if inside:
                with whole(result) as part, result.open("rb") as file, part.open("w+b") as made:
                    builder.sign(signing, _media_type(result), file, made)
                return result
            builder.set_no_embed()
            with (
                TemporaryFile(dir=result.parent) as copy,
                result.open("rb") as file,
            ):  # as large as the result
                store = builder.sign(signing, _media_type(result), file, copy)
        write_whole(beside := sidecar_path(result), store, replace=replace)
        return beside
    except FileExistsError:
        raise SinkError(f"{sidecar_path(result)} exists; pass --overwrite to replace it") from None
    except c2pa.C2paError as error:
        raise ConfigError(f"no content credentials for {result}: {error}") from error
    except OSError as error:
        raise SinkError(f"{result} cannot be given content credentials: {error.strerror or error}") from error


def credentials_of(result: Path, anchors: str = "") -> tuple[str, dict[str, Any]]:
    """Read what credentials a file has.

    Args:
        result: the file, with a sidecar beside it where it cannot hold them itself.
        anchors: certificates in PEM of those who are trusted to vouch for signers.

    Returns:
        `none`, `invalid`, `valid` or `trusted`; and the manifests with what was found of each.
    """
    c2pa = _library()
    store: bytes | None = None
    if result.suffix.lower() not in HOLDING:
        if not sidecar_path(result).is_file():
            return "none", {}
        store = sidecar_path(result).read_bytes()
    settings = {"trust": {"trust_anchors": anchors}} if anchors else {}
    try:
        with (
            result.open("rb") as file,
            c2pa.Reader(_media_type(result), file, manifest_data=store, context=_context(settings)) as reader,
        ):
            return reader.get_validation_state().lower(), json.loads(reader.json())
    except c2pa.C2paError as error:
        missing = isinstance(error, c2pa.C2paError.ManifestNotFound)
        return ("none", {}) if missing else ("invalid", {"reason": str(error)})


def _media_type(path: Path) -> str:
    ending = path.suffix.lower()
    if ending in HOLDING:
        return ending.removeprefix(".")
    return _TYPES.get(ending, "application/octet-stream")


def _library() -> Any:
    try:
        import c2pa
    except ImportError as error:
        raise needs_extra(error) from None
    return c2pa


def _context(settings: dict[str, Any]) -> Any:
    """Settings of one use: none of them fetches anything."""
    c2pa = _library()
    quiet = {"verify": {"remote_manifest_fetch": False, **settings.get("verify", {})}}
    return c2pa.Context(settings=c2pa.Settings.from_dict(settings | quiet))
