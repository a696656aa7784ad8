"""Making the tables: pictures whose truth is known are reduced and damaged, restored, and looked at block by block.

The name of a picture decides what it is for, by its hash: three of eight are learnt from, three say where the
thresholds are, and two, which have no part in either, how good both are.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from vsr.engine import Engine
from vsr.errors import SourceError
from vsr.frames import Frame
from vsr.media import ImageSource
from vsr.models import Damage, Model, load, with_damage
from vsr.options import EngineOptions
from vsr.quality import (
    Coding,
    KnownDamage,
    Rgb,
    as_frame,
    compression_of,
    damage_of,
    damaged,
    look_at_pictures,
    luma_codes,
    to_rgb,
    told_damage,
)
from vsr.resample import reduce
from vsr.support.conformal import Values, risk_of, threshold_of
from vsr.support.disagreement import Doubters
from vsr.support.lumas import nominal_luma
from vsr.support.reductions import best_reduction
from vsr.support.scoring import FULL, QUICK, Scoring, contrast_of_tenths, learn, rank_correlation
from vsr.support.signals import Map, Signals, rms_of, signals_of
from vsr.support.tables import ANY, LOOSE, STRICT, Calibration, Look, Table, Tested

SIDE = 96
"""Source pixels along the side of the square, from the middle of each picture, that is looked at."""

SPLITS = 20

FEWEST = 60
"""Pictures that a calibration takes; a promise of 0.05 takes 20 in three of eight."""

_LEAST_SIDE = 48
"""Source pixels below which a picture is left out."""

SIGNALS: dict[Look, Sequence[str]] = {"quick": QUICK, "full": FULL}

RANGE = 255.0


def degradations(model: Model) -> dict[str, KnownDamage]:
    """What is done to the pictures: `clean` only reduces, one half by area and one as MATLAB does; `heavy` only for
    networks that can be told of damage, as nobody would take another; `blurred` for those that only sharpen. Of the
    source's own size nothing is `clean`: it would be the truth, without an error to be found."""
    scale, for_real = model.spec.scale, model.spec.packs > 1
    if _only_sharpens(model):
        return {
            "blurred": KnownDamage(1, blur=1.5),
            "compressed": KnownDamage(1, noise=2, jpeg=75, blur=1.5),
        }
    rows = {
        "clean": KnownDamage(scale),
        "compressed": KnownDamage(scale, noise=4, jpeg=75, blur=0.25 * scale),
        "heavy": KnownDamage(scale, noise=12, jpeg=50, blur=0.4 * scale),
    }
    left_out = "heavy" if not for_real else "clean" if scale == 1 else ""
    return {kind: row for kind, row in rows.items() if kind != left_out}


def _only_sharpens(model: Model) -> bool:
    return model.spec.scale == 1 and model.spec.packs == 1


@dataclass(frozen=True, slots=True)
class Example:
    """A picture that has been restored, and what is true of it."""

    picture: str
    """Its name."""
    signals: Signals
    errors: Map
    """RMS error of each block, in code values."""
    damage: Damage

    @property
    def part(self) -> int:
        """0 to 7."""
        return _drawn(self.picture)[0] % 8


def calibrate_support(
    models: Sequence[str], pictures: Sequence[Path], *, full: bool = True, tell: Callable[[str], None] = print
) -> Iterator[Calibration]:
    """Make the tables of models, and after them, of several, those for any that enlarges or cleans.

    Args:
        models: their names.
        pictures: sharp ones; best such as no network has learnt from.
        full: with what the networks make of sources shown otherwise, which takes nine times as long.
        tell: is told how each table did.

    Raises:
        SourceError: there are too few pictures.
    """
    if len(pictures) < FEWEST:
        raise SourceError(f"{len(pictures)} pictures are too few; {FEWEST} or more are needed")
    pooled: dict[str, list[Example]] = {}
    for name in models:
        tables: list[Table] = []
        model = load(name)
        for kind, row in degradations(model).items():
            examples = list(examples_of(model, row, pictures, full=full))
            if not _only_sharpens(model):  # tables are found by noise and compression, and blur is neither
                pooled.setdefault(kind, []).extend(examples)
            for look in SIGNALS if full else ("quick",):
                tables.append(table_of(examples, kind, look))
                tell(_line(name, tables[-1]))
        yield Calibration(name, tables)
    if len(models) > 1 and pooled:
        yield Calibration(ANY, [table_of(examples, kind, "quick") for kind, examples in pooled.items()])


def examples_of(model: Model, row: KnownDamage, pictures: Sequence[Path], *, full: bool) -> Iterator[Example]:
    """Damage, restore and measure each picture that is large enough."""
    scale, options = model.spec.scale, EngineOptions(device="cpu", threads=1)
    for path in pictures:
        high = _middle(to_rgb(next(iter(ImageSource(path).frames()))), scale)
        if min(high.shape[:2]) < _LEAST_SIDE * scale:
            continue
        low = as_frame(_reduced(high, row, by_area=bool(_drawn(path.name)[1] % 2)))
        damage, told = damage_of_source(low, row)
        chain = [with_damage(model, told)]
        (result,) = Engine(chain, options).run([low])
        source, restored, truth = (nominal_luma(each) for each in (low, result, as_frame(high)))
        signals = signals_of(source, restored, best_reduction([(source, restored)]), damage.noise)
        if full:
            doubters = Doubters(chain, options, compression=damage.compression)
            signals = replace(signals, disagreement=doubters.disagreement(low, restored))
        errors = rms_of(restored - truth, (source.shape[0], source.shape[1]))
        yield Example(path.name, signals, errors, damage)


def table_of(examples: Sequence[Example], degradation: str, look: Look) -> Table:
    """Learn from one part, find thresholds on the next, try both on the last.

    Raises:
        SourceError: a part is empty.
    """
    parts = [[each for each in examples if each.part in part] for part in ((0, 1, 2), (3, 4, 5), (6, 7))]
    if not all(parts):
        raise SourceError("too few pictures are large enough; give more, or larger ones")
    learnt = learn(SIGNALS[look], [(each.signals, each.errors) for each in parts[0]])
    held, tried = (_scored(part, learnt) for part in parts[1:])
    thresholds = {str(alpha): _finite(threshold_of(held, alpha)) for alpha in (STRICT, LOOSE)}
    return Table(
        degradation=degradation,
        look=look,
        noise=float(np.mean([each.damage.noise for each in examples])),
        compression=float(np.mean([each.damage.compression for each in examples])),
        scoring=learnt,
        thresholds=thresholds,
        pictures=len(held),
        tested=_tested(tried, held + tried, thresholds),
    )


def _scored(examples: Sequence[Example], scoring: Scoring) -> list[tuple[Values, Values]]:
    """Scores and errors as shares of the range, of each picture: of all that several networks have made of it, as
    these err alike and count once."""
    found: dict[str, list[tuple[Values, Values]]] = {}
    for each in examples:
        one = scoring.score(each.signals).astype(np.float64).ravel(), each.errors.ravel() / RANGE
        found.setdefault(each.picture, []).append(one)
    return [tuple(np.concatenate(part) for part in zip(*made, strict=True)) for made in found.values()]  # type: ignore[misc]


def _tested(
    tried: Sequence[tuple[Values, Values]],
    unlearnt: Sequence[tuple[Values, Values]],
    thresholds: dict[str, float],
) -> Tested:
    scores, errors = (np.concatenate([pair[at].ravel() for pair in tried]) for at in (0, 1))
    risk = {alpha: risk_of(tried, threshold) for alpha, threshold in thresholds.items()}
    share = {alpha: float(np.mean(scores < threshold)) for alpha, threshold in thresholds.items()}
    kept = {alpha: _splits_kept(unlearnt, float(alpha)) for alpha in thresholds}
    return Tested(
        len(tried), rank_correlation(scores, errors), contrast_of_tenths(scores, errors), risk, share, kept
    )


def _splits_kept(pictures: Sequence[tuple[Values, Values]], alpha: float) -> int:
    """In how many random halvings the threshold of one half keeps its promise on the other."""
    draw, half, kept = np.random.default_rng(0), len(pictures) // 2, 0
    for _ in range(SPLITS):
        order = draw.permutation(len(pictures))
        threshold = threshold_of([pictures[index] for index in order[:half]], alpha)
        kept += risk_of([pictures[index] for index in order[half:]], threshold) <= alpha
    return kept


def _finite(threshold: float) -> float:
    return threshold if math.isfinite(threshold) else 1e9 if threshold > 0 else -1.0


def _drawn(name: str) -> bytes:
    """What is by lot for a picture, and the same each time."""
    return sha256(name.encode()).digest()


def _middle(picture: Rgb, scale: int) -> Rgb:
    """The square that is looked at, its sides multiples of the scale."""
    sides = [min(SIDE * scale, side // scale * scale) for side in picture.shape[:2]]
    top, left = ((of - side) // 2 for of, side in zip(picture.shape[:2], sides, strict=True))
    return np.ascontiguousarray(picture[top : top + sides[0], left : left + sides[1]])


def _reduced(high: Rgb, row: KnownDamage, *, by_area: bool) -> Rgb:
    if by_area or row != KnownDamage(row.scale):
        return damaged(high, row)
    return reduce(torch.from_numpy(high).permute(2, 0, 1)[None], row.scale)[0].permute(1, 2, 0).numpy()


def damage_of_source(low: Frame, row: KnownDamage) -> tuple[Damage, Damage]:
    """What is measured of a source, and what a network is told."""
    look = look_at_pictures([[luma_codes(low)]])
    coding = Coding("mjpeg", jpeg_quality=row.jpeg) if row.jpeg < 100 else Coding("png")
    compression = compression_of(coding, look)
    return damage_of(look, compression), told_damage(look, compression)


def _line(name: str, table: Table) -> str:
    tested = table.tested
    promises = ", ".join(
        f"alpha {alpha}: risk {tested.risk[alpha]:.3f}, {tested.share[alpha]:.0%} of the blocks, "
        f"{tested.splits_kept[alpha]} of {SPLITS} splits"
        for alpha in table.thresholds
    )
    tenths = "without error in the best" if tested.tenths is None else f"{tested.tenths:.1f}"
    return (
        f"{name}, {table.degradation}, {table.look}: rank correlation {tested.rank_correlation:.2f}, "
        f"tenths {tenths}; {promises}"
    )
