"""How well the round trip finds what somebody has changed in a result: letters, textures and eyes, all drawn here.

    python samples/planted_fakes.py fast-x2:clean base-real-x2:compressed base-real-x2:heavy --cases 67

Two scenes are drawn that differ in one place: a letter of a plate, a texture, an eye of a face. Both are reduced and
damaged as for calibration, and restored; the fake is the result of the first with the second's in that place. Of the
blocks there the largest excess of the round trip over the source's own error is held against that of the unchanged
result. AUC is the chance that the fake has the higher value: 1 always, 0.5 as by lot. The round trip can see a fake
that changes the reduced picture by more than twice the source's own error in some block.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from vsr.engine import Engine
from vsr.frames import Frame
from vsr.models import Model, load, with_damage
from vsr.options import EngineOptions
from vsr.quality import KnownDamage, as_frame, damaged, to_rgb
from vsr.support.calibrating import SIDE, damage_of_source, degradations
from vsr.support.lumas import nominal_luma
from vsr.support.reductions import best_reduction
from vsr.support.signals import BLOCK, OUTLIER, rms_of, signals_of

Rgb = npt.NDArray[np.uint8]
Scenes = tuple[Rgb, Rgb]
LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"


@dataclass(frozen=True)
class Case:
    """One fake, and the same place unchanged: the largest excess of a block."""

    fake: float
    unchanged: float
    is_visible: bool


def letters(rng: np.random.Generator, scale: int) -> Scenes:
    """A plate, and the same with one letter replaced."""
    side, height = SIDE * scale, int(rng.integers(8, 15)) * scale
    font = ImageFont.load_default(round(height / 0.72))
    text = "".join(rng.choice(list(LETTERS), 5))
    place = int(rng.integers(len(text)))
    other = str(rng.choice([letter for letter in LETTERS if letter != text[place]]))
    wall = tuple(int(value) for value in rng.integers(50, 170, 3))
    left, down = (int(value) for value in rng.integers(4 * scale, 12 * scale, 2))

    def drawn(word: str) -> Rgb:
        picture = Image.new("RGB", (side, side), wall)
        draw = ImageDraw.Draw(picture)
        draw.rectangle(
            [left, side // 2 - height, side - left, side // 2 + height], (236, 233, 222), (25, 25, 25), scale
        )
        for i, letter in enumerate(word):
            # Not always on whole source pixels.
            at = (left + (i + 0.8) * (side - 2 * left) / (len(word) + 0.6), side / 2 + down % scale)
            draw.text(at, letter, (28, 28, 36), font, anchor="mm")
        return np.asarray(picture, np.uint8)

    return drawn(text), drawn(text[:place] + other + text[place + 1 :])


def textures(rng: np.random.Generator, scale: int) -> Scenes:
    """A grain of some size and strength, and the same with a square of 16 source pixels of another such grain."""
    side, patch = SIDE * scale, 16 * scale
    size, strength, level = rng.uniform(0.15, 2.5) * scale, rng.uniform(5, 30), rng.uniform(80, 170)

    def grain() -> npt.NDArray[np.float64]:
        values = cv2.GaussianBlur(rng.normal(size=(side, side)), (0, 0), size)
        return level + strength * values / values.std()

    first, second = grain(), grain()
    weight = np.zeros((side, side))
    at = (side - patch) // 2
    weight[at : at + patch, at : at + patch] = 1
    mixed = first + (second - first) * cv2.GaussianBlur(weight, (0, 0), scale)
    return _gray(first), _gray(mixed)


def eyes(rng: np.random.Generator, scale: int) -> Scenes:
    """A face, and the same with one eye moved by two to four source pixels."""
    side, fine = SIDE * scale, 4
    skin, iris = float(rng.integers(150, 220)), tuple(int(value) for value in rng.integers(40, 130, 3))
    middle = np.array([side / 2, side / 2]) + rng.uniform(-4, 4, 2) * scale
    large = rng.uniform(0.8, 1.2) * scale
    turn = rng.uniform(0, 2 * np.pi)
    moved = rng.uniform(2, 4) * scale * np.array([np.cos(turn), np.sin(turn)])
    grain = cv2.GaussianBlur(rng.normal(size=(side, side, 1)), (0, 0), scale)[..., None] * 20

    def drawn(shift: npt.NDArray[np.float64]) -> Rgb:
        picture = np.full((side, side, 3), (90, 100, 110), np.uint8)

        def oval(at: npt.NDArray[np.float64], axes: tuple[float, float], color: Sequence[float]) -> None:
            centre, half = ([round(float(value) * 2**fine) for value in pair] for pair in (at, axes))
            cv2.ellipse(
                picture, (*centre,), (*half,), 0, 0, 360, [int(c) for c in color], -1, cv2.LINE_AA, fine
            )

        oval(middle, (30 * large, 38 * large), (skin, skin * 0.8, skin * 0.7))
        oval(middle + np.array([0, 20 * large]), (10 * large, 3 * large), (150, 70, 70))
        for place, by in ((-12, np.zeros(2)), (12, shift)):
            at = middle + np.array([place * large, -8 * large]) + by
            oval(at, (7 * large, 4 * large), (235, 235, 235))
            oval(at, (3 * large, 3.4 * large), iris)
            oval(at, (1.4 * large, 1.4 * large), (15, 15, 15))
        return np.clip(picture + grain, 0, 255).astype(np.uint8)

    return drawn(np.zeros(2)), drawn(moved)


KINDS: dict[str, Callable[[np.random.Generator, int], Scenes]] = {
    "letters": letters,
    "textures": textures,
    "eyes": eyes,
}


def _gray(values: npt.NDArray[np.float64]) -> Rgb:
    return np.repeat(np.clip(np.rint(values), 0, 255).astype(np.uint8)[..., None], 3, 2)


def cases_of(model: Model, row: KnownDamage, kind: str, num_cases: int) -> Iterator[Case]:
    """Draw, damage, restore, plant and measure."""
    rng = np.random.default_rng([17, list(KINDS).index(kind)])
    for _ in range(num_cases):
        yield _case(model, row, KINDS[kind](rng, model.spec.scale))


def _case(model: Model, row: KnownDamage, scenes: Scenes) -> Case:
    scale = model.spec.scale
    low, other = (as_frame(damaged(scene, row)) for scene in scenes)
    damage, told = damage_of_source(low, row)
    engine = Engine([with_damage(model, told)], EngineOptions(device="cpu", threads=1))
    (result,), (second,) = engine.run([low]), engine.run([other])
    differs = np.abs(scenes[0].astype(int) - scenes[1]).max(2) > 2
    place = cv2.dilate(differs.astype(np.uint8), np.ones((2 * scale + 1,) * 2, np.uint8)).astype(bool)
    fake = as_frame(np.where(place[..., None], to_rgb(second), to_rgb(result)))
    return _measured(low, result, fake, place, damage.noise)


def _measured(low: Frame, result: Frame, fake: Frame, place: npt.NDArray[np.bool_], noise: float) -> Case:
    source, made, changed = (nominal_luma(each) for each in (low, result, fake))
    reduction = best_reduction([(source, made)])
    small = (source.shape[0], source.shape[1])
    rows, columns = (-(-side // BLOCK) for side in small)
    touched = cv2.resize(place.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA) > 0
    before, after = (signals_of(source, each, reduction, noise) for each in (made, changed))
    moved = rms_of(reduction.down(changed) - reduction.down(made), small)
    return Case(
        float(after.excess[touched].max()),
        float(before.excess[touched].max()),
        bool((moved[touched] > 2 * before.noise).any()),
    )


def auc_of(cases: Sequence[Case]) -> float:
    """The chance that a fake has a higher value than an unchanged place."""
    fake, unchanged = (
        np.array(values) for values in zip(*((c.fake, c.unchanged) for c in cases), strict=True)
    )
    higher, equal = fake[:, None] > unchanged, fake[:, None] == unchanged
    return float(higher.mean() + equal.mean() / 2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "networks", nargs="+", metavar="NAME:DAMAGE", help="damage: clean, compressed or heavy"
    )
    parser.add_argument("--cases", type=int, default=67, help="of each kind")
    given = parser.parse_args()
    head = ["network, sources", *KINDS, "that can be seen", "all", f"above {OUTLIER:g}: fakes", "unchanged"]
    print("| " + " | ".join(head) + " |\n" + "| --- " * len(head) + "|", flush=True)
    for name, _, kind_of_damage in (each.partition(":") for each in given.networks):
        model = load(name)
        row = degradations(model)[kind_of_damage]
        by_kind = {kind: list(cases_of(model, row, kind, given.cases)) for kind in KINDS}
        cases = [case for each in by_kind.values() for case in each]
        visible = [case for case in cases if case.is_visible]
        cells = [f"`{name}`, {kind_of_damage}", *(f"{auc_of(each):.2f}" for each in by_kind.values())]
        cells += [f"{auc_of(visible):.2f} of {len(visible)}", f"{auc_of(cases):.2f}"]
        cells += [f"{np.mean([case.fake > OUTLIER for case in cases]):.0%}"]
        cells += [f"{np.mean([case.unchanged > OUTLIER for case in cases]):.0%}"]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
