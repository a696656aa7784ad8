"""Support in figures: of each frame, of the regions that were asked about, of all; as JSON and as sentences."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vsr.errors import ConfigError
from vsr.models import Damage
from vsr.support.measuring import FrameSupport
from vsr.support.overlay import shares
from vsr.support.signals import BLOCK, OUTLIER, Map
from vsr.support.tables import LOOSE, STRICT, Calibration, Table

Figures = dict[str, Any]
"""As JSON takes them."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle in source pixels."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> "Region":
        """Read `X,Y,WIDTH,HEIGHT`.

        Raises:
            ConfigError: the text is no such rectangle.
        """
        match = re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)", text.replace(" ", ""))
        if match is None or "0" in (match[3].lstrip("0") or "0", match[4].lstrip("0") or "0"):
            raise ConfigError(
                f"region {text!r} is not understood; write X,Y,WIDTH,HEIGHT in source pixels, as in 40,16,64,24"
            )
        return cls(*map(int, match.groups()))

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.width},{self.height}"

    def of(self, blocks: Map) -> Map:
        """Every block that it touches."""
        bottom, right = (-(-end // BLOCK) for end in (self.y + self.height, self.x + self.width))
        return blocks[self.y // BLOCK : bottom, self.x // BLOCK : right]

    def check(self, size: tuple[int, int]) -> None:
        """Raises ConfigError: it is not within a source of this height, width."""
        if self.y + self.height > size[0] or self.x + self.width > size[1]:
            raise ConfigError(f"region {self} is not within the source, which is {size[1]}x{size[0]}")


def frame_figures(support: FrameSupport, regions: Sequence[Region]) -> Figures:
    """What is said of a frame.

    Raises:
        ConfigError: a region lies outside.
    """
    for region in regions:
        region.check(support.reduction.small)
    return {
        "number": support.number,
        "time_s": round(support.time_s, 6),
        "round_trip_db": None if math.isinf(support.round_trip_db) else round(support.round_trip_db, 2),
        **_figures(support, None),
        "regions": [{"region": str(region), **_figures(support, region)} for region in regions],
    }


def _figures(support: FrameSupport, region: Region | None) -> Figures:
    def here(values: Any) -> Any:
        return values if region is None else region.of(values)

    signals = support.signals
    supported, partly, not_at_all = shares(here(support.steps))
    energies = [float(np.mean(np.square(here(each)))) for each in (signals.unconfirmed, signals.detail)]
    found: Figures = {
        "supported": supported,
        "partly": partly,
        "not": not_at_all,
        "expected_error": _rms(here(support.scores)),
        "round_trip_over_noise": _rms(here(signals.excess)),
        "contradicts_source": float(np.mean(here(signals.excess) > OUTLIER)),
        "exchangeable": float(np.mean(here(signals.exchangeable))),
        "prior_share": min(1.0, energies[0] / (energies[1] + 1)),
    }
    if signals.disagreement is not None:
        found["disagreement"] = _rms(here(signals.disagreement))
    if signals.confirmed is not None:
        found["confirmed_by_time"] = float(np.mean(here(signals.confirmed)))
    return {name: round(value, 4) for name, value in found.items()}


def whole_report(
    calibration: Calibration, table: Table, damage: Damage, reduction: str, frames: Iterable[Figures]
) -> Figures:
    """All that is known, as JSON takes it."""
    each = list(frames)
    return {
        "model": calibration.model if calibration.for_model else None,
        "calibrated": calibration.for_model,
        "degradation": table.degradation,
        "look": table.look,
        "source_noise": round(damage.noise, 2),
        "source_compression": round(damage.compression, 3),
        "reduction": reduction,
        "promise": promise(calibration, table),
        "summary": _summary(each),
        "frames": each,
    }


def _summary(frames: Sequence[Figures]) -> Figures:
    names = [name for name, value in frames[0].items() if isinstance(value, float) and name != "time_s"]
    means = {
        name: round(float(np.mean([each[name] for each in frames if each[name] is not None])), 4)
        for name in names
    }
    return {"frames": len(frames), **means}


def promise(calibration: Calibration, table: Table) -> str:
    """What the steps are worth, in sentences."""
    means = (
        f"In what is drawn as supported, the largest error (RMS over a block of {BLOCK}x{BLOCK} source pixels, "
        f"within a square of 96x96) is on average at most {STRICT:.0%} of the range from black to white; with what "
        f"is drawn as partly supported, at most {LOOSE:.0%}."
    )
    if not calibration.for_model:
        return (
            f"{means} That was found for vsr's own networks together; for this result, whose network is not "
            "known or has no table, it is an estimate and no promise."
        )
    return (
        f"{means} That holds on average over footage like that of the calibration ({table.pictures} photographs, "
        f"{table.degradation}), and for no single picture."
    )


def sentences(report: Figures) -> list[str]:
    """The summary for people."""
    found = report["summary"]
    lines = [
        f"supported {found['supported']:.0%}, partly {found['partly']:.0%}, not {found['not']:.0%} of the picture, "
        f"over {found['frames']} frame{'s' if found['frames'] > 1 else ''}",
        f"expected error: {found['expected_error']:.1f} code values of 255 (RMS)",
    ]
    if "round_trip_db" in found:
        lines.append(
            f"round trip: reduced again ({report['reduction']}), the result is {found['round_trip_db']:.1f} dB from "
            f"the source; that is {found['round_trip_over_noise']:.2f} times the source's own error, and "
            f"{found['contradicts_source']:.1%} of the blocks contradict the source"
        )
    lines.append(
        f"in {found['exchangeable']:.0%} of the blocks another texture, as strong as the source's, would not "
        "contradict the source"
    )
    lines.append(f"nothing in a frame confirms {found['prior_share']:.0%} of the energy of its detail")
    if "disagreement" in found:
        lines.append(
            f"asked again, the network is {found['disagreement']:.1f} code values from what it said (RMS)"
        )
    if "confirmed_by_time" in found:
        lines.append(f"other frames confirm {found['confirmed_by_time']:.0%} of what one frame cannot")
    return [*lines, *text_sentences(report["frames"]), report["promise"]]


def text_sentences(frames: Sequence[Figures]) -> list[str]:
    """What is said of text, where it was read; nothing where it was not."""
    read = [each for each in frames if "text" in each]
    found = [(each["number"], line) for each in read for line in each["text"]]
    if read and not found:
        return ["no character is read in the result that is not read in a plain enlargement of the source"]
    return [
        f"frame {number} at {line['region']}: {line['not_in_source']!r} in {line['text']!r} is not in the source"
        for number, line in found
    ]


def _rms(values: Map) -> float:
    return float(np.sqrt(np.mean(np.square(values.astype(np.float64)))))
