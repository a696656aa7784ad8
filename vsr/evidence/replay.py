"""A result made again from its source and its record, and compared with what it was, frame by frame."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from vsr.durable import sha256_of
from vsr.errors import ConfigError, VerifyError
from vsr.evidence.check import check_signature, check_source, noted_frames, second_output, source_job
from vsr.evidence.decisions import model_facts_of
from vsr.evidence.folder import load_record
from vsr.evidence.frame_list import NotedFrame
from vsr.evidence.machine_facts import processor_facts, software_facts
from vsr.evidence.reread import each_frame, result_again, result_files
from vsr.jobs import FileView, FrameHash, Job, Outcome, Plan, hash_of, run_file
from vsr.options import AlsoOptions, EnhanceOptions
from vsr.toml_options import make_options


def make_again(
    folder: Path,
    view: FileView,
    *,
    source: Path | None = None,
    result: Path | None = None,
    key: Path | None = None,
    keep: Path | None = None,
    options: EnhanceOptions | None = None,
) -> Iterator[str]:
    """Make the result again, and yield a line for each part that is equal; the last one says how much is.

    Args:
        folder: that `--evidence` has filled.
        view: is told how it gets on.
        source: where the source lies now; None for where it lay.
        result: the same of the result.
        key: public key by which the record must be signed; None for any.
        keep: where the new result is to lie; None: nowhere, when it has been compared.
        options: in place of those of the record.

    Raises:
        VerifyError: names the first frame that differs; on another kind of processor, by more than one code, where the
            result or a second output has lost nothing.
        ConfigError: the record's models are not here.
    """
    record = load_record(folder)
    yield check_signature(folder, record, key)
    frames = noted_frames(folder, record)
    yield check_source(record, frames, source, decode=False)
    told = Path(record["result"]["path"])
    with tempfile.TemporaryDirectory(prefix="vsr-replay-") as work:
        target = keep or Path(work) / told.name
        second = Path(work) / f"second-{Path(record['also']['path']).name}" if record["also"] else None
        job = replace(source_job(record, source, target), creates_folder=True)
        made = _made(record, job, options or recorded_options(record, second), view)
        pair = _without_loss(record, (target, result or told), second)
        yield from _compared(record, frames, made, target, pair)


def _without_loss(
    record: dict[str, Any], results: tuple[Path, Path], second: Path | None
) -> tuple[Path, Path] | None:
    """The files of now and of then that hold the frames as the encoder got them; None where the record has none."""
    if not record["lossy"]:
        return results
    if second and record["options"]["also"]["also_encoder"] == "ffv1":
        return second, second_output(record["also"], results[1])
    return None


def _made(record: dict[str, Any], job: Job, options: EnhanceOptions, view: FileView) -> Outcome:
    """Enhance once more, by the same networks."""
    made = run_file(
        job, options, view, planned=lambda plan: replace(_same_models(plan, record), hashes_frames=True)
    )
    if made.error is not None:
        raise made.error
    assert made.outcome is not None
    return made.outcome


def recorded_options(record: dict[str, Any], second: Path | None) -> EnhanceOptions:
    """The options of a record, with what `auto` has come to be there, and another place for the second output, upon
    which frames may depend."""
    options = make_options(EnhanceOptions, record["options"])
    also = replace(options.also, also=str(second)) if second else AlsoOptions()
    engine = options.engine
    if record["models"]:
        first = record["models"][0]
        engine = replace(engine, device=first["device"], precision=first["precision"])
    # By whom it was made changes nothing of it, and a record is not to say to whom its reader sends it.
    job = replace(options.job, restart=True, workers="auto", cluster="")
    return replace(options, engine=engine, also=also, job=job)


def _same_models(plan: Plan, record: dict[str, Any]) -> Plan:
    """Raise ConfigError where other networks would run than ran."""
    for now, then in zip_longest(model_facts_of(plan), record["models"]):
        wanted, found = (each and (each["name"], each["sha256"]) for each in (then, now))
        if wanted != found:
            raise ConfigError(f"the record names model {wanted}, and here it would be {found}")
    return plan


def _compared(
    record: dict[str, Any],
    frames: Sequence[NotedFrame],
    made: Outcome,
    target: Path,
    pair: tuple[Path, Path] | None,
) -> Iterator[str]:
    """Yield what is equal; `pair` are the files that hold the frames of now and of then without loss, if any do."""
    hashes = made.hashes
    if (number := _first(hashes, frames, "decoded")) is not None:
        raise VerifyError(f"frame {number} is decoded in another way here: {_what_changed(record)}")
    yield f"{len(frames)} frames decoded: equal"
    if (number := _first(hashes, frames, "given")) is not None:
        line, is_near = _how_far(record, frames, number, pair)
        if not is_near:
            raise VerifyError(line)
        yield line
        yield "not equal, and as near as another kind of processor can be asked to come: within 1 code of each sample"
        return
    yield f"{len(frames)} frames given to the encoder: equal"
    found = [hash_of(frame) for frame in each_frame(result_again(target))]
    for number, (now, then) in enumerate(zip_longest(found, (frame.result for frame in frames))):
        if now != then:
            why = f"although the encoder was given the same: {_what_changed(record)}"
            raise VerifyError(f"frame {number} is encoded in another way, {why}")
    yield f"{len(frames)} frames of the result, decoded again: equal"
    same = sha256_of(*result_files(target)) == record["result"]["sha256"]
    bytes_too = (
        "and the file to the byte" if same else "and of the file other bytes than the pictures' differ"
    )
    yield f"all frames are equal, {bytes_too}"


def _first(hashes: Sequence[FrameHash], frames: Sequence[NotedFrame], which: str) -> int | None:
    pairs = enumerate(zip_longest(hashes, frames))
    return next((n for n, (a, b) in pairs if not a or not b or getattr(a, which) != getattr(b, which)), None)


def _what_changed(record: dict[str, Any]) -> str:
    """What is other here than where the record was made, of all that may change a bit."""
    changed = [
        f"{name} {then} then, {now.get(name)} here"
        for now, then_all in (
            (software_facts(), record["software"]),
            (processor_facts(), record["processor"]),
        )
        for name, then in then_all.items()
        if now.get(name) != then
    ]
    return (
        "; ".join(changed) or "processor and software are those of the record, so an option or a model is not"
    )


def _how_far(
    record: dict[str, Any], frames: Sequence[NotedFrame], number: int, pair: tuple[Path, Path] | None
) -> tuple[str, bool]:
    """What can be said of frames that came out in another way, and whether another kind of processor explains it."""
    line = f"frame {number} differs before it is encoded: {_what_changed(record)}"
    if pair is None:
        keeps = "a second output that loses nothing (--also _kept.mkv --also-encoder ffv1) would tell"
        return f"{line}. How far it is off cannot be told, as the encoder has lost something; {keeps}", False
    now, then = pair
    if not then.is_file():
        return f"{line}. How far it is off could be told if {then} were there", False
    apart = list(_codes_apart(now, then, frames))
    differing = [n for n, codes in enumerate(apart) if codes]
    most = max(apart)
    codes = "code" if most == 1 else "codes"
    line = f"{line}. {len(differing)} of {len(frames)} frames differ, by {most} {codes} at most"
    if most > 1:
        far = next(n for n, codes in enumerate(apart) if codes > 1)
        return f"{line}; frame {far} is the first that differs by more than 1, by {apart[far]}", False
    rest = "; what the encoder made of them is not compared" if record["lossy"] else ""
    return f"{line}: {_ranges(differing)}{rest}", processor_facts() != record["processor"]


def _codes_apart(now: Path, then: Path, frames: Sequence[NotedFrame]) -> Iterator[int]:
    """Yield the largest difference of each frame of two files, in code values.

    Raises:
        VerifyError: the second one does not hold the frames of the record.
    """
    both = zip(each_frame(result_again(now)), each_frame(result_again(then)), frames, strict=False)
    for number, (mine, theirs, noted) in enumerate(both):
        if hash_of(theirs) != noted.given:
            raise VerifyError(
                f"{then}: frame {number} is not what the first encoder got: it was changed, or is kept with fewer bits "
                "or less chroma, so nothing can be compared with it"
            )
        pairs = zip(mine.planes, theirs.planes, strict=True)
        yield max(int(np.abs(a.astype(np.int32) - b.astype(np.int32)).max()) for a, b in pairs)


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers as people write them: 3, 5-9."""
    known = set(numbers)
    starts = [n for n in numbers if n - 1 not in known]
    ends = [n for n in numbers if n + 1 not in known]
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))
