"""A record checked against itself, its source and its result; what is wrong is named by its place."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from vsr.durable import sha256_of
from vsr.errors import VerifyError, VsrError
from vsr.evidence.chain_log import LOG, read_log
from vsr.evidence.content_credentials import credentials_of
from vsr.evidence.folder import RECORD, REPORT, get, load_record
from vsr.evidence.frame_list import FRAMES, NotedFrame, merkle_root, read_frames
from vsr.evidence.reread import each_frame, file_facts, result_again, result_files, source_again
from vsr.evidence.signing import SIGNATURE, is_signed_by, read_public_key
from vsr.evidence.source_copy import check_copy
from vsr.evidence.supported import SUPPORT
from vsr.evidence.time_stamp import STAMP, check_stamp
from vsr.jobs import Job, hash_of
from vsr.media import Source, is_numbered
from vsr.options import ReadOptions
from vsr.toml_options import make_options


def check_evidence(
    folder: Path,
    *,
    source: Path | None = None,
    result: Path | None = None,
    key: Path | None = None,
    authorities: Sequence[Path] = (),
    decode: bool = True,
) -> Iterator[str]:
    """Check everything; yield a line for each part that is as it was.

    Args:
        folder: that `--evidence` has filled.
        source: where the source lies now; None for where it lay.
        result: the same of the result.
        key: public key by which the record must be signed; None for any.
        authorities: certificates in PEM of those whose time stamps and content credentials are trusted.
        decode: decode both and compare every frame, although their bytes are what they were.

    Raises:
        VerifyError: the first place that is wrong, in one line.
        ConfigError: the folder holds no record.
    """
    record = load_record(folder)
    yield f"record: sealed, finished {record['finished']}"
    yield from _check_papers(folder, record, key, authorities)
    frames = noted_frames(folder, record)
    yield f"frames: {len(frames)}, Merkle root {record['frames']['merkle_root']}"
    yield check_source(record, frames, source, decode=decode)
    if record["copy"]:
        yield check_copy(folder, record["copy"])
    target = result or Path(record["result"]["path"])
    yield _check_result(record, frames, target, decode=decode)
    if record["also"]:
        yield _check_second(record["also"], target)
    if record["credentials"]:
        yield _check_credentials(record, target, authorities)


def _check_papers(
    folder: Path, record: dict[str, Any], key: Path | None, authorities: Sequence[Path]
) -> Iterator[str]:
    """Check what lies beside the record, but for the list of frames."""
    yield check_signature(folder, record, key)
    if (folder / STAMP).exists():
        yield check_stamp(get(folder, STAMP), stamped(folder, record), folder / STAMP, authorities)
    yield _check_log(folder, record)
    for name, told in ((REPORT, record["report"]), (SUPPORT, record["support"])):
        if told and hashlib.sha256(get(folder, name)).hexdigest() != told["sha256"]:
            raise VerifyError(f"{folder / name}: was changed")


def check_signature(folder: Path, record: dict[str, Any], key: Path | None) -> str:
    """Check a record's signature; returns by whom it is.

    Raises:
        VerifyError: it is not that of the record, or not by the key that is trusted.
    """
    trusted = read_public_key(key) if key else None
    if not record["signer"]:
        if trusted:
            raise VerifyError(f"{folder / RECORD} is not signed, and by {key} it should be")
        return "signature: none; who could write the folder could have written all of it anew"
    public_key = bytes.fromhex(record["signer"]["Ed25519"])
    if not is_signed_by(public_key, get(folder, RECORD), get(folder, SIGNATURE)):
        raise VerifyError(
            f"{folder / SIGNATURE}: is no signature of this record; it was changed, or is another's"
        )
    if trusted and public_key != trusted:
        raise VerifyError(f"{folder / SIGNATURE}: is signed by another key than {key}, by {public_key.hex()}")
    whose = "the key that you trust" if trusted else "a key of which --key can tell whose it is"
    return f"signature: by {whose}, {public_key.hex()}"


def stamped(folder: Path, record: dict[str, Any]) -> bytes:
    """What a time stamp is of: the signature, or a record without one."""
    return get(folder, SIGNATURE if record["signer"] else RECORD)


def _check_result(record: dict[str, Any], frames: Sequence[NotedFrame], target: Path, *, decode: bool) -> str:
    hashes, again = [frame.result for frame in frames], partial(result_again, target)
    try:
        return _check_files("result", result_files(target), record["result"], again, hashes, decode=decode)
    except VerifyError as error:
        raise VerifyError(f"{error}{_lost_credentials(record, target)}") from None


def _check_second(told: dict[str, Any], target: Path) -> str:
    """Check the second output by its bytes."""
    beside = second_output(told, target)
    files = result_files(beside)
    if not files or not all(file.is_file() for file in files):
        raise VerifyError(
            f"second output {beside} is not there; it lies beside the result, or where it was written"
        )
    if file_facts(files)["sha256"] != told["sha256"]:
        raise VerifyError(f"second output {beside} is not the file of the record")
    return f"second output: SHA-256 {told['sha256']}"


def second_output(told: dict[str, Any], target: Path) -> Path:
    """The second output: where it lay, or beside the result."""
    path = Path(told["path"])
    return path if is_numbered(path) or path.is_file() else target.with_name(path.name)


def _lost_credentials(record: dict[str, Any], target: Path) -> str:
    """What is to be said of the credentials of a result that is another one now."""
    if not record["credentials"] or not target.is_file():
        return ""
    state, _ = credentials_of(target)
    lost = {"none": "were stripped", "invalid": "are invalid"}.get(state)
    return f"; its content credentials {lost}" if lost else ""


def _check_credentials(record: dict[str, Any], target: Path, authorities: Sequence[Path]) -> str:
    held = target.with_name(record["credentials"]["file"])
    if held != target and (not held.is_file() or sha256_of(held) != record["credentials"]["sha256"]):
        raise VerifyError(f"{held}: is not there, or was changed; it held the content credentials")
    state, told = credentials_of(target, "".join(path.read_text(encoding="utf-8") for path in authorities))
    if state in ("none", "invalid"):
        raise VerifyError(f"{held}: its content credentials are {state}: {told.get('reason', '')}")
    return f"content credentials: {state}"


def check_source(
    record: dict[str, Any], frames: Sequence[NotedFrame], source: Path | None, *, decode: bool
) -> str:
    """Check the source alone; returns what is to be said of it.

    Raises:
        VerifyError: as `check_evidence`.
    """
    job, read = source_job(record, source), make_options(ReadOptions, record["options"]["read"])
    again = partial(source_again, job, read, opaque=record["source"]["opaque"])
    hashes = [frame.decoded for frame in frames]
    return _check_files("source", job.sources, record["source"], again, hashes, decode=decode)


def source_job(record: dict[str, Any], source: Path | None = None, target: Path | None = None) -> Job:
    """The job of a record, or the same of a source that lies elsewhere, or with another result."""
    told = record["source"]
    path = source or Path(told["path"])
    pictures = tuple((number, path.with_name(name)) for number, name in told["pictures"])
    return Job(path, target or Path(record["result"]["path"]), told["is_image"], pictures=pictures)


def noted_frames(folder: Path, record: dict[str, Any]) -> list[NotedFrame]:
    """The hashes of all frames.

    Raises:
        VerifyError: they are not those of the record.
    """
    told = record["frames"]
    frames = read_frames(get(folder, FRAMES), folder / FRAMES, count=told["count"])
    if merkle_root(frames) != told["merkle_root"]:
        raise VerifyError(
            f"{folder / FRAMES}: its Merkle root is not the one of the record; frames were changed"
        )
    return frames


def _check_log(folder: Path, record: dict[str, Any]) -> str:
    path, told = folder / LOG, record["log"]
    entries, seal = read_log(get(folder, LOG), path)
    if len(entries) < told["lines"]:
        raise VerifyError(f"{path}: line {len(entries) + 1} is missing; the record names {told['lines']}")
    if len(entries) > told["lines"]:
        raise VerifyError(f"{path}: line {told['lines'] + 1} was put in after the record was finished")
    if seal != told["seal"]:
        raise VerifyError(
            f"{path}: line {len(entries)} is not the last one of the record; the log was written anew"
        )
    return f"log: {len(entries)} lines, each sealed with the one before"


def _check_files(
    what: str,
    files: Sequence[Path],
    told: dict[str, Any],
    again: Callable[[], Source],
    hashes: Sequence[str],
    *,
    decode: bool,
) -> str:
    """Compare files with what was recorded of them, by their bytes and by their frames."""
    named = f"{what} {files[0] if files else told['path']}"
    if not files or not all(file.is_file() for file in files):
        raise VerifyError(f"{named} is not there; --{what} names where it lies")
    found = file_facts(files)
    is_same = found["sha256"] == told["sha256"]
    wrong = first_difference(again, hashes) if decode or not is_same else ""
    if not is_same:
        pictures = wrong or "its pictures are as they were, other bytes of it are not"
        size = (
            f"{found['bytes']} bytes instead of {told['bytes']}, " if found["bytes"] != told["bytes"] else ""
        )
        raise VerifyError(f"{named} is not the file of the record: {size}{pictures}")
    if wrong:
        raise VerifyError(f"{named} has the bytes of the record and decodes in another way here: {wrong}")
    compared = f", {len(hashes)} frames decoded and compared" if decode else ""
    return f"{what}: {found['bytes']} bytes, SHA-256 {found['sha256']}{compared}"


def first_difference(again: Callable[[], Source], hashes: Sequence[str]) -> str:
    """Decode a file and say which is the first frame that is not what it was; empty where all are."""
    number = -1
    try:
        frames = (hash_of(frame) for frame in each_frame(again()))
        for number, (found, told) in enumerate(zip_longest(frames, hashes)):
            if told is None:
                return f"frame {number} is one too many"
            if found is None:
                return f"frame {number} and what follows is missing"
            if found != told:
                return f"frame {number} differs"
    except VsrError as error:
        return f"frame {number + 1} cannot be read ({error})"
    return ""
