"""What a record must hold so that it can be checked and repeated.

That its seal fits shows only that nothing was changed by accident: anybody can seal another one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from vsr.errors import VerifyError


@dataclass(frozen=True)
class _OrNull:
    """A kind, or null."""

    kind: Any


# What no file is called: names with zeros, and such as no bytes of a file system stand for.
_CHARACTER = r"[^/\0\ud800-\udc7f\udd00-\udfff]"
_NAME = re.compile(rf"(?!\.\.?\Z){_CHARACTER}+")
_PATH = re.compile(rf"(?:(?:{_CHARACTER}|/)*/)?(?!\.\.?\Z){_CHARACTER}+")
_HASH = re.compile(r"[0-9a-f]{64}")
_BYTES = re.compile(r"(?:[0-9a-f]{2})+")
_FILE = {"path": _PATH, "bytes": int, "sha256": str}
_SIGNER = _OrNull({"Ed25519": _HASH})

_RECORD = {
    "finished": str,
    "source": {**_FILE, "is_image": bool, "opaque": bool, "pictures": [(int, _NAME)]},
    "copy": _OrNull({"files": [_NAME], "sha256": str}),
    "result": _FILE,
    "also": _OrNull(_FILE),
    "frames": {"count": int, "merkle_root": str},
    "log": {"lines": int, "seal": str},
    "report": {"sha256": str},
    "support": _OrNull({"sha256": str}),
    "credentials": _OrNull({"file": _NAME, "sha256": str}),
    "signer": _SIGNER,
    "lossy": bool,
    "models": [{"name": str, "sha256": str, "device": str, "precision": str}],
    "options": {"read": dict, "also": {"also_encoder": str}},
    "software": dict,
    "processor": dict,
}

_HEAD = {"lines": int, "last": str}

_LINE = {"line": int, "step": str, "at": str}
_BEGUN = {
    "signer": _SIGNER,
    "options": {"outputs": [{"kind": str}]},
    "levels": [{"models": [{"name": str, "sha256": str, "precision": str, "device": str}]}],
}
_STEPS: Mapping[str, Any] = {
    "begun": {**_BEGUN, "camera": str, "url": str, "case": str, "earlier": [_PATH]},
    "went on": {**_BEGUN, "earlier": [_PATH]},
    "configuration": _BEGUN,
    "begins": {"file": _PATH},
    "segment": {"file": _PATH, "bytes": int, "sha256": str, "original": bool},
    "gone": {"file": _PATH},
    "signed": {"signature": _BYTES},
    "event": {"event": str, "text": str, "bad": bool},
    "frames": {"shown": int, "left_out": [(int, int, str)], "stood_in": [(int, int)]},
}
"""Lines of a camera's log by their step; what others hold is shown, and nothing follows from it."""


def check_record(record: Mapping[str, Any], path: Path) -> None:
    """Raise VerifyError where an entry of a file's record is missing or of another kind."""
    _check(record, _RECORD, f"{path}:")


def check_head(head: Mapping[str, Any], path: Path) -> None:
    """The same of how far a camera's log has come."""
    _check(head, _HEAD, f"{path}:")


def check_lines(lines: Iterable[Mapping[str, Any]], path: Path) -> None:
    """The same of the lines of a camera's log, of which the first begins it."""
    number = 0
    for number, line in enumerate(lines, 1):
        where = f"{path}: line {number}:"
        _check(line, _LINE, where)
        if number == 1 and line["step"] != "begun":
            raise VerifyError(f"{where} does not begin the record of a camera")
        _check(line, _STEPS.get(line["step"], {}), where)
    if not number:
        raise VerifyError(f"{path}: is empty; a run was ended before it had begun the record")


def _check(value: object, kind: Any, where: str) -> None:
    """Raise VerifyError where a value is not of a kind: a type of JSON's, the text that a pattern takes, a list of one
    kind, or of so many as are told, or an object that has these entries at least."""
    if isinstance(kind, _OrNull):
        kind = kind.kind if value is not None else type(None)
    if isinstance(kind, Mapping):
        _check(value, dict, where)
        entries = cast("Mapping[str, object]", value)
        for name, each in cast("Mapping[str, Any]", kind).items():
            if name not in entries:
                raise VerifyError(f"{where} {name} is missing")
            _check(entries[name], each, f"{where} {name}")
    elif isinstance(kind, list | tuple):
        _check(value, list, where)
        items, kinds = cast("list[object]", value), cast("list[Any]", kind)
        if isinstance(kind, tuple) and len(items) != len(kinds):
            raise VerifyError(f"{where} holds {len(items)} entries; {len(kinds)} are expected")
        for at, item in enumerate(items):
            _check(item, kinds[at if isinstance(kind, tuple) else 0], f"{where} {at + 1}")
    elif isinstance(kind, re.Pattern):
        _check(value, str, where)
        if not kind.fullmatch(cast("str", value)):
            raise VerifyError(f"{where} cannot be {_short(value)}")
    elif type(value) is not kind:
        raise VerifyError(f"{where} is {_short(value)}; {_WORDS[kind]} is expected")


_WORDS = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
