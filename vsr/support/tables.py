"""What a calibration has found, as it lies beside a network's weights: `NAME.support.json`.

One table for each way in which sources are damaged: powers of the signals, the thresholds of the promise, and how both
did on pictures that had no part in them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from vsr.errors import ModelError
from vsr.models import Damage, find_model
from vsr.support.scoring import Scoring
from vsr.support.signals import Map, Signals

Look = Literal["quick", "full"]
"""What is looked at: source and result alone, or what the network makes of the source shown otherwise, too."""

STRICT, LOOSE = 0.05, 0.1
"""Largest errors, as shares of the range from black to white, that are promised of what is drawn as supported, and of
that with what is partly so."""

SUFFIX = ".support.json"

ANY = "any"
"""The table for results whose network is not known."""

_PER_NOISE, _PER_COMPRESSION = 10.0, 0.4
"""Differences of noise and of compression that count alike when the table for a source is chosen."""


@dataclass(frozen=True, slots=True)
class Tested:
    """How a table did on pictures that had no part in it."""

    pictures: int
    rank_correlation: float
    """Spearman's, of scores and true errors of all blocks."""
    tenths: float | None
    """RMS error of the tenth of highest score over that of the lowest; None where that has none."""
    risk: Mapping[str, float]
    """Realised, by alpha: mean over pictures of the largest error in the mask, as a share of the range."""
    share: Mapping[str, float]
    """Of the blocks in the mask."""
    splits_kept: Mapping[str, int]
    """In how many of 20 random splits the realised risk was at most alpha."""


@dataclass(frozen=True, slots=True)
class Table:
    """For one kind of source, one look."""

    degradation: str
    look: Look
    noise: float
    """Mean of what was measured of the sources, σ in code values."""
    compression: float
    scoring: Scoring
    thresholds: Mapping[str, float]
    """By alpha; 1e9 where all blocks are in, -1 where none is."""
    pictures: int
    """From which the thresholds are."""
    tested: Tested

    def steps(self, signals: Signals) -> tuple[Map, Map]:
        """Scores, and 2 for what is supported, 1 for what is partly, 0 for what is not, of each block.

        Whatever the threshold: where a larger error is expected than may be, a block is not inside. A calibration may
        not have met the like, and a smaller mask keeps its promise, too. What other frames confirm raises no block:
        thresholds are found on stills.
        """
        scores = self.scoring.score(replace(signals, confirmed=None))
        inside = [scores < min(self.thresholds[str(alpha)], 255 * alpha) for alpha in (STRICT, LOOSE)]
        return scores, (inside[0].astype("float32") + inside[1])


@dataclass(frozen=True, slots=True)
class Calibration:
    """All tables of one network at one scale."""

    model: str
    tables: Sequence[Table]
    for_model: bool = True
    """False where the network is not known and the tables are of several."""

    def table_for(self, damage: Damage, look: Look) -> Table:
        """The table whose sources were most like one; of several, the one that orders best of what can be looked at."""

        def fit(table: Table) -> tuple[float, float]:
            distance = math.hypot(
                (table.noise - damage.noise) / _PER_NOISE,
                (table.compression - damage.compression) / _PER_COMPRESSION,
            )
            return round(distance, 6), -table.tested.rank_correlation

        return min((table for table in self.tables if table.look in (look, "quick")), key=fit)


def path_of_tables(model: str) -> Path:
    """Where the tables of a model lie.

    Raises:
        ModelError: there is no such model.
    """
    facts = find_model(model)
    if model != ANY and facts is None and not Path(model).is_file():
        raise ModelError(f"{model} is no model; `vsr models` lists those there are")
    folder = find_model("fast-x2") if facts is None and model == ANY else facts
    at = Path(model) if folder is None else folder.path
    return at.with_name(f"{at.stem if folder is None else model}{SUFFIX}")


def calibration_of(model: str) -> Calibration:
    """The tables of a model by its name or path, or those for any where it has none."""
    path = path_of_tables(model)
    own = model != ANY and path.is_file()
    return read_calibration(path if own else path_of_tables(ANY), for_model=own)


def read_calibration(path: Path, *, for_model: bool = True) -> Calibration:
    """Read tables.

    Raises:
        ModelError: the file is missing or is none of ours.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        tables = [_table(each) for each in found["tables"]]
        return Calibration(found["model"], tables, for_model)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} holds no tables of support ({error}); vsr calibrate NAME --support makes them"
        ) from error


def _table(found: dict[str, Any]) -> Table:
    parts: dict[str, Any] = {"scoring": Scoring(**found["scoring"]), "tested": Tested(**found["tested"])}
    return Table(**(found | parts))


def with_tables_kept(quick: Calibration, path: Path) -> Calibration:
    """Tables made without asking networks again, with those of the other look that lie there."""
    kept = (
        [table for table in read_calibration(path).tables if table.look == "full"] if path.is_file() else []
    )
    return replace(quick, tables=[*quick.tables, *kept])


def written(calibration: Calibration) -> bytes:
    """The file of a calibration."""
    content = {"model": calibration.model, "tables": [_rounded(asdict(each)) for each in calibration.tables]}
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _rounded(each) for name, each in value.items()}
    return round(value, 4) if isinstance(value, float) else value
