"""JSON that tells of any change to it: an object's last entry is a hash of all that stands before it.

In a chain the hash also covers that of the object before, so none can be taken out, put in or moved.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

_SURROGATE = re.compile(r"[\ud800-\udfff]")
"""What bytes of a file's name become that are no text; UTF-8 cannot write it, JSON's escapes can."""

_END = re.compile(r',\s+"seal": "([0-9a-f]{64})"\s*\}\s*\Z')


def sealed(entry: Mapping[str, Any], *, before: str = "", indent: int | None = None) -> str:
    """Write an object as JSON with its seal.

    Args:
        entry: not empty.
        before: the seal of the object before; empty for the first, and for one by itself.
        indent: as `json.dumps` has it; None for one line.
    """
    head = json.dumps(entry, ensure_ascii=False, indent=indent)[:-1].rstrip()
    return _closed(_SURROGATE.sub(lambda each: f"\\u{ord(each[0]):04x}", head), before, indent)


def unsealed(text: str, *, before: str = "", indent: int | None = None) -> tuple[dict[str, Any], str]:
    """Read what `sealed` has written; returns the object without its seal, and the seal.

    Raises:
        ValueError: it was changed, or is no such text.
    """
    end = _END.search(text)
    if end is None or _closed(text[: end.start()], before, indent) != text:
        raise ValueError("the seal does not fit")
    try:
        entry = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return entry, entry.pop("seal")


def _closed(head: str, before: str, indent: int | None) -> str:
    seal = hashlib.sha256(f"{before}{head}".encode()).hexdigest()
    gap, end = (" ", "") if indent is None else ("\n" + " " * indent, "\n")
    return f'{head},{gap}"seal": "{seal}"{end}}}{end}'
