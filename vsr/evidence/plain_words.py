"""A record in plain sentences: what was done, what may not be concluded from it, and how it is repeated."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def what_was_done(record: Mapping[str, Any]) -> Iterator[str]:
    """Say it in the order in which it happened."""
    source, frames, decided = record["source"], record["frames"], record["decided"]
    before, after = decided["frames"]["format"], decided["output"]
    yield (
        f"{Path(source['path']).name} was opened to be read alone. Its SHA-256 was taken before the first byte was "
        "decoded and again after the last one: it is the same."
    )
    if record["copy"]:
        yield "It was copied into the folder source beside this page; the copy has the same SHA-256."
    crop = f", cut to {decided['crop']}" if decided["crop"] else ""
    names = " and ".join(model["name"] for model in record["models"]) or "no network"
    size = decided["resampled_to"]
    again = f", then resampled once to {size[1]}x{size[0]}" if size else ""
    yield (
        f"{_counted(frames['count'], 'frame')} of {before['width']}x{before['height']} pixels were decoded{crop} "
        f"and made {after['width']}x{after['height']} pixels large by {names}{again}."
    )
    yield _neighbours(record)
    if text := decided["label"]:
        yield (
            f"Then {text!r} was written on every picture, over what was there. The hashes of frames given to the "
            "encoder are those of the pictures with this label; of the ones without it there is none."
        )
    for encoder in decided["encoders"]:
        yield f"The frames were encoded by {encoder['name']}."
    yield (
        f"The finished file was decoded once more: all {_counted(frames['count'], 'frame')} are there, "
        "in their order. None was put in, left out or moved in time between reading and encoding."
    )
    if held := record["credentials"]:
        yield f"Content credentials (C2PA) that tell of all this were put into {held['file']}, last of all."
    if patched := len(frames["patched_up"]):
        were = "was" if patched == 1 else "were"
        yield f"{_counted(patched, 'picture')} of the source {were} damaged, and patched up by the decoder; see below."


def _neighbours(record: Mapping[str, Any]) -> str:
    sees = [model["sees"] for model in record["models"]]
    if any(each["stateful"] for each in sees):
        return (
            "A network carries what it has seen from frame to frame: a frame of the result depends on "
            "all before it in its scene."
        )
    around = sum(each["before"] + each["emit"] - 1 + each["after"] for each in sees)
    if around:
        return (
            f"Each frame of the result depends on its own frame of the source and on up to {around} of "
            "its neighbours."
        )
    return "Each frame of the result depends on the same frame of the source alone, and on no other."


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def limits_of(record: Mapping[str, Any]) -> Iterator[str]:
    """Say what the record does not show."""
    if record["models"]:
        yield (
            "An enhanced picture is an interpretation. A network draws what is likely by the pictures "
            "that it has learnt "
            "from: an edge, a letter or a feature of a face that only the result shows need not have "
            "been there. What "
            "matters is to be looked at in the source."
        )
    for reason in record["generative"]:
        yield f"{reason}. The result is for looking at, and no ground for any statement about details."
    yield (
        "Hashes show that the files are those that lay here when the record was made. They do not show "
        "where the source "
        "comes from, nor what was done to it before."
    )
    if record["signer"]:
        yield (
            f"Whose the signature is follows from the key {record['signer']['Ed25519']} alone, not from "
            "this page."
        )
    else:
        yield "The record is not signed: who can write to its folder could have written all of it anew."
    if record["lossy"]:
        yield (
            "The encoder has lost something: the result's frames, decoded again, are not to the bit "
            "those that the "
            "networks gave. Both have hashes of their own in frames.txt."
        )
    yield (
        "Times are those of this machine's clock, which nobody else vouches for unless the record "
        "bears a time stamp."
    )


_MEANINGS = {
    "expected_error": (
        "{:.1f} code values of 255 (RMS) are the error to be expected. It is estimated from what follows, and was not "
        "held against any truth, of which there is none here."
    ),
    "round_trip_db": (
        "{:.1f} dB lie between the source and the result that was reduced to the source's size again: the more, the "
        "nearer."
    ),
    "round_trip_over_noise": (
        "That is {:.2f} times the source's own error, which is its noise, what compression has taken or replaced, and "
        "its rounding. About 1 and below means that the result says what the source says, as far as this can "
        "tell: detail finer than the source's pixels does not show in it."
    ),
    "contradicts_source": (
        "{:.1%} of the blocks contradict the source: there it is more than 3 times. Such a block is a place to look "
        "at, and no proof."
    ),
    "exchangeable": (
        "In {:.0%} of the blocks another texture, as strong as the source's, would not contradict the source: what a "
        "texture shows there is not confirmed by that it fits."
    ),
    "prior_share": (
        "{:.0%} of the energy of the detail is confirmed by nothing in its own frame: it is finer than the source's "
        "pixels, and comes from what the network has learnt."
    ),
    "disagreement": (
        "{:.1f} code values (RMS) lie between what the network said and what it says of the same source turned, "
        "shifted or compressed once more. What the source decides comes out alike."
    ),
    "confirmed_by_time": (
        "{:.0%} of what one frame cannot confirm is there in the frames before and after, too, moved by less than "
        "whole pixels."
    ),
}
"""What each figure says, in the order in which they are told."""


def support_in_words(told: Mapping[str, Any]) -> Iterator[str]:
    """Say what was measured, a sentence or two for each figure."""
    found = told["summary"]
    frames = "1 frame was" if found["frames"] == 1 else f"{found['frames']:,} frames were"
    yield (
        f"{frames} looked at, in blocks of 8x8 pixels of the source and in brightness alone: colour that is invented "
        "at the right brightness is not seen."
    )
    yield (
        f"{found['supported']:.0%} of the picture is supported by the source, {found['partly']:.0%} partly, and "
        f"{found['not']:.0%} is not. {told['promise']}"
    )
    yield from (meaning.format(found[name]) for name, meaning in _MEANINGS.items() if name in found)
    yield from (f"Text was read: {line}." for line in told["text"])


def repeated_by(record: Mapping[str, Any]) -> Iterator[str]:
    """Say how anybody checks and repeats it."""
    yield (
        "vsr evidence verify FOLDER compares everything with source and result, and names the first "
        "place that is wrong."
    )
    yield (
        "vsr evidence replay FOLDER makes the result again from source and record. It is equal to the "
        "bit with the same "
        "programs on the same kind of processor, which are named below; else it says what differs."
    )
    yield (
        "Without vsr: ffmpeg -i FILE -map 0:v -f framehash -hash sha256 - gives the hashes in "
        "frames.txt of a source "
        "whose pixel format needs no conversion, and of a result; sha256sum gives those of the files."
    )
    yield "The command's options are in record.json under options, each step with its time in log.jsonl."
