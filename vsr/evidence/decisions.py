"""A plan as a record has it: what the file is, what was decided and why, by which models."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from vsr.engine import Placement, place
from vsr.errors import redact
from vsr.frames import StreamInfo
from vsr.jobs import FrameHash, Plan
from vsr.media import ReadCounts
from vsr.models import ModelSpec, card_of

_MOST = 1000
"""Places that are listed of one kind; how many there are is always said."""


def as_json(value: Any) -> Any:
    """A value as JSON takes it: times as fractions, paths as text, and of addresses what may be shown."""
    if is_dataclass(value) and not isinstance(value, type):
        return as_json(asdict(value))
    if isinstance(value, dict):
        return {str(key): as_json(each) for key, each in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_json(each) for each in cast("Sequence[Any]", value)]
    return redact(str(value)) if isinstance(value, str | Fraction | Path) else value


def stream_facts(info: StreamInfo) -> dict[str, Any]:
    """What was found in a file."""
    facts = as_json(info)
    return {name: value for name, value in facts.items() if name not in ("path", "pictures", "notes")}


def decisions_of(plan: Plan) -> dict[str, Any]:
    """What was decided of a file, and the lines that say why."""
    choices = plan.outputs.choices if plan.outputs else []
    return {
        "frames": stream_facts(plan.frames),
        "crop": str(plan.crop) if plan.crop else None,
        "output": as_json(plan.output),
        "resampled_to": list(plan.resample) if plan.resample else None,
        "label": plan.label.text if plan.label else None,
        "encoders": [
            {
                "name": each.encoder,
                "why": each.why,
                "arguments": as_json(each.arguments),
                "filters": list(each.filters),
            }
            for each in choices
        ],
        "notes": list(plan.notes),
    }


def model_facts_of(plan: Plan) -> list[dict[str, Any]]:
    """The networks in their order, each with what is known of it and where it ran."""
    return [network_facts(model.spec, place(plan.options.engine, model)) for model in plan.models]


def network_facts(spec: ModelSpec, spot: Placement) -> dict[str, Any]:
    """What is known of a network, and where it runs."""
    facts: dict[str, Any] = {
        name: getattr(spec, name)
        for name in ("name", "scale", "version", "sha256", "licence", "trained_on", "generative", "network")
    }
    facts |= {"told": as_json(spec.damage) if spec.packs > 1 else None, "sees": as_json(spec.context)}
    facts |= {"device": str(spot.device), "precision": spot.precision, "why": spot.why}
    return facts | {"cards": _cards(spec.name)}


def _cards(name: str) -> dict[str, dict[str, str]]:
    """The cards of the networks that a name is made of: `A with 0.5 of B` is of two."""
    found: dict[str, dict[str, str]] = {}
    for part in name.split(" with 0")[0], name.rpartition(" of ")[2]:
        try:
            facts = card_of(part)
        except Exception:  # of a file that no catalogue knows
            continue
        found[part] = {"purpose": facts.purpose, "trained on": facts.trained_on, **dict(facts.card)}
    return found


def read_facts(counts: ReadCounts | None) -> dict[str, Any]:
    """What was met while reading, as far as the last run has read."""
    if counts is None:
        return {}
    return {name: value for name, value in as_json(counts).items() if value and name != "concealed_at"}


def missing_frames(hashes: Sequence[FrameHash], time_base: Fraction) -> dict[str, Any]:
    """Where frames may be missing: pauses of a stream that otherwise keeps a constant rate.

    Returns:
        How many, and after which frames, counted from 0, for how many seconds; empty for a variable rate.
    """
    steps = Counter(b.pts - a.pts for a, b in pairwise(hashes))
    usual, often = steps.most_common(1)[0] if steps else (0, 0)
    if not steps or often < 0.9 * (len(hashes) - 1):
        return {}
    pauses = [
        {"after": number, "seconds": str((b.pts - a.pts) * time_base), "usual": str(usual * time_base)}
        for number, (a, b) in enumerate(pairwise(hashes))
        if b.pts - a.pts > 1.5 * usual
    ]
    return {"number": len(pauses), "places": pauses[:_MOST]}
