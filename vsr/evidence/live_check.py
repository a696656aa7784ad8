"""The record of a camera checked against itself and against the recorded files; what is wrong is named by its place."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vsr.durable import sha256_of
from vsr.errors import VerifyError
from vsr.evidence.chain_log import LOG, each_line, whole_lines
from vsr.evidence.folder import get
from vsr.evidence.live_log import HEAD, NamedFiles
from vsr.evidence.record_shape import check_head, check_lines
from vsr.evidence.seals import unsealed
from vsr.evidence.signing import is_signed_by, read_public_key
from vsr.live import recorded_names

_LINES = tuple[dict[str, Any], str]
"""A line of the log, and its seal."""


def check_live(folder: Path, *, recordings: Path | None = None, key: Path | None = None) -> Iterator[str]:
    """Check everything; yield a line for each part that is as it was.

    Args:
        folder: `evidence`, within that of the recordings.
        recordings: where these lie now; None for the folder around.
        key: public key by which the record must be signed; None for any.

    Raises:
        VerifyError: the first place that is wrong, in one line.
        ConfigError: the key cannot be read.
    """
    path, raw = folder / LOG, get(folder, LOG)
    whole = whole_lines(raw)
    lines = _read_lines(whole, path)
    _check_head(folder, lines, cut_off=len(whole) < len(raw))
    entries = [entry for entry, _ in lines]
    yield f"log: {len(lines)} lines, each sealed with the one before, from {entries[0]['at']} to {entries[-1]['at']}"
    yield _check_signatures(path, lines, key)
    files = NamedFiles().read(entries)
    yield from _check_files(recordings or folder.absolute().parent, entries, files)
    if _has_ended(entries):
        yield "the service has ended the record"
    else:
        rest = len(raw) - len(whole)
        half = f", {rest} bytes of a line that was cut off follow it" if rest else ""
        yield f"the record has no end: the service is at work, or was cut off. It stands up to line {len(lines)}{half}"


def _read_lines(whole: bytes, path: Path) -> list[_LINES]:
    lines = list(each_line(whole, path))
    check_lines((entry for entry, _ in lines), path)
    return lines


def _check_head(folder: Path, lines: Sequence[_LINES], *, cut_off: bool) -> None:
    path = folder / HEAD
    try:
        head, _ = unsealed(get(folder, HEAD).decode())
    except ValueError:
        raise VerifyError(f"{path}: was changed, its seal does not fit") from None
    check_head(head, path)
    number = head["lines"]
    if number < 1:
        raise VerifyError(f"{path}: names line {number}; the first one is 1")
    if number > len(lines):
        what = "was changed" if cut_off else "is missing"
        raise VerifyError(f"{folder / LOG}: line {len(lines) + 1} {what}; {path} names {number}")
    if lines[number - 1][1] != head["last"]:
        raise VerifyError(
            f"{folder / LOG}: line {number} is not the one that {path} names; the log was written anew"
        )


def _check_signatures(path: Path, lines: Sequence[_LINES], key: Path | None) -> str:
    trusted = read_public_key(key) if key else None
    signer: Mapping[str, str] | None = None
    seal, last, by = "", 0, b""
    for number, (entry, after) in enumerate(lines, 1):
        if "signer" in entry:
            signer = entry["signer"]
            by = bytes.fromhex(signer["Ed25519"]) if signer else b""
            if trusted and by != trusted:
                whose = (
                    f"by another key than {key}, by {by.hex()}"
                    if by
                    else f"by nobody, and by {key} it should be"
                )
                raise VerifyError(f"{path}: from line {number} on it is signed {whose}")
        if entry["step"] == "signed":
            if not is_signed_by(by, seal.encode(), bytes.fromhex(entry["signature"])):
                raise VerifyError(f"{path}: line {number} is no signature of what stands before it")
            last = number
        seal = after
    if not signer:
        return "signature: none; who could write the folder could have written all of it anew"
    whose = "the key that you trust" if trusted else "a key of which --key can tell whose it is"
    rest = len(lines) - last
    open_lines = f"; {rest} lines after it are not signed yet" if rest else ""
    return f"signature: up to line {last} by {whose}, {by.hex()}{open_lines}"


def _check_files(recordings: Path, entries: Sequence[Mapping[str, Any]], files: NamedFiles) -> Iterator[str]:
    kept = [told for name, told in files.hashed.items() if name not in files.gone]
    for told in kept:
        path = recordings / told["file"]
        if not path.is_file():
            raise VerifyError(
                f"{path} is missing; line {told['line']} of the log names it. --result names its folder"
            )
        size = path.stat().st_size
        if size != told["bytes"] or sha256_of(path) != told["sha256"]:
            sizes = f"{size} bytes instead of {told['bytes']}" if size != told["bytes"] else "other bytes"
            raise VerifyError(f"{path} is not the file of line {told['line']} of the log: {sizes}")
    originals = sum(told["original"] for told in kept)
    size = sum(told["bytes"] for told in kept)
    yield f"files: {len(kept)}, {originals} of them originals, {size} bytes, SHA-256 compared"
    if files.gone:
        yield _gone(entries, files)
    there = {name for name in recorded_names(recordings, entries[0]["camera"]) if not name.endswith(".part")}
    others = sorted(there - files.hashed.keys() - files.earlier)
    if others and _has_ended(entries):
        raise VerifyError(f"{recordings / others[0]} is not in the log, which has ended")
    if others:
        yield f"not hashed: {', '.join(others)}; finished when nobody wrote the log, or just now"


def _gone(entries: Sequence[Mapping[str, Any]], files: NamedFiles) -> str:
    """Files that went while the service was at work; raise VerifyError where nothing that is configured deletes any."""
    options: Mapping[str, Any] = {}
    for entry in entries:
        options = entry.get("options", options)
        if entry["step"] == "gone":
            records = [each for each in options["outputs"] if each["kind"] == "record"]
            if not any(each.get("keep_hours") or each.get("keep_gb") for each in records):
                raise VerifyError(
                    f"{entry['file']} was deleted while it was recorded on, as line {entry['line']} of the log says; "
                    "nothing that was configured deletes it"
                )
    return f"deleted since: {len(files.gone)}, as keep_hours or keep_gb allow; their hashes stay in the log"


def _has_ended(entries: Sequence[Mapping[str, Any]]) -> bool:
    steps = [entry["step"] for entry in entries if entry["step"] != "signed"]
    return steps[-1] == "ended"


def live_summary(folder: Path) -> dict[str, Any]:
    """What a log tells, in sum; files and levels in their order.

    Raises:
        VerifyError: it was changed.
    """
    raw = get(folder, LOG)
    entries = [entry for entry, _ in _read_lines(whole_lines(raw), folder / LOG)]
    first, frames = entries[0], [entry for entry in entries if entry["step"] == "frames"]
    events = [entry for entry in entries if entry["step"] == "event"]
    return {
        "camera": first["camera"],
        "url": first["url"],
        "case": first["case"],
        "signer": first["signer"],
        "begun": [entry["at"] for entry in entries if entry["step"] in ("begun", "went on")],
        "ended": [entry["at"] for entry in entries if entry["step"] == "ended"],
        "frames": {
            "shown": sum(entry["shown"] for entry in frames),
            "left_out": sum(last - number + 1 for entry in frames for number, last, _ in entry["left_out"]),
            "stood_in": sum(times for entry in frames for _, times in entry["stood_in"]),
        },
        "states": [
            f"{each['at']} {each['text']}"
            for each in events
            if each["event"] in ("state", "level", "network")
        ],
        "bad": [f"{each['at']} {each['text']}" for each in events if each["bad"]],
        "models": {
            model["name"]: {
                "sha256": model["sha256"],
                "precision": model["precision"],
                "device": model["device"],
            }
            for entry in entries
            for level in entry.get("levels", ())
            for model in level["models"]
        },
        "files": [
            {name: entry[name] for name in ("file", "at", "bytes", "sha256")}
            for entry in entries
            if entry["step"] == "segment"
        ],
        "gone": [entry["file"] for entry in entries if entry["step"] == "gone"],
    }
