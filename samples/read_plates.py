"""What is read on plates of known text that a network has enlarged by four, and what the map lets through of it.

    pip install '.[text]'
    python samples/read_plates.py base-x4 base-real-x4 base-sharp-x4 --each 6

Plates of seven characters, 4 to 12 source pixels high, are reduced, blurred a little, given noise of σ 4 and stored as
JPEG of quality 75. RapidOCR reads the plain (bicubic) enlargement and each result. A character that is read wrongly is
listed by `--text` unless the plain enlargement shows it, too; the map lets it through where all its blocks count as
supported. Rightly read characters are looked at in the same way: how much of what is true the map doubts.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from vsr.engine import Engine
from vsr.frames import Frame
from vsr.models import Damage, Model, load, with_damage
from vsr.options import EngineOptions
from vsr.quality import KnownDamage, as_frame, damaged, to_rgb
from vsr.support.calibrating import damage_of_source
from vsr.support.measuring import Measuring
from vsr.support.reading_text import TextReader
from vsr.support.signals import BLOCK
from vsr.support.tables import calibration_of

Rgb = npt.NDArray[np.uint8]
SCALE, HEIGHTS, LENGTH = 4, (4, 6, 8, 10, 12), 7
DAMAGE = KnownDamage(SCALE, noise=4, jpeg=75, blur=0.25 * SCALE)
LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"
PICTURE = (160 * SCALE, 64 * SCALE)


@dataclass(frozen=True)
class Plate:
    """A plate, drawn."""

    text: str
    boxes: Sequence[tuple[float, float, float, float]]
    """Of each character: left, top, right, bottom in source pixels."""
    picture: Rgb


def drawn(rng: np.random.Generator, height: int, font_file: str) -> Plate:
    """Draw a plate of characters so many source pixels high."""
    text, tall = "".join(rng.choice(list(LETTERS), LENGTH)), height * SCALE
    font = ImageFont.truetype(font_file, round(tall / 0.729))
    step = font.getlength("A") * 1.1
    wide, high = round(step * LENGTH + tall * 1.6), round(tall * 2)
    left, top = ((side - part) // 2 for side, part in zip(PICTURE, (wide, high), strict=True))
    left, top = left + int(rng.integers(-8, 9)), top + int(rng.integers(-8, 9))
    picture = Image.new("RGB", PICTURE, tuple(int(value) for value in rng.integers(60, 150, 3)))
    draw = ImageDraw.Draw(picture)
    draw.rectangle(
        [left, top, left + wide, top + high], (235, 232, 220), (20, 20, 20), width=max(2, tall // 10)
    )
    boxes: list[tuple[float, float, float, float]] = []
    for i, letter in enumerate(text):
        x, y = left + tall * 0.8 + i * step, top + (high - tall) / 2
        draw.text((x, y + tall), letter, (25, 25, 35), font, anchor="ls")
        boxes.append((x / SCALE, y / SCALE, (x + step) / SCALE, (y + tall) / SCALE))
    return Plate(text, boxes, np.asarray(picture, np.uint8))


def read(reader: TextReader, picture: Rgb) -> str:
    """All that is read in a picture, from left to right."""
    lines = sorted(reader.read(picture), key=lambda line: line.box[0])
    return "".join("".join(line.text.split()) for line in lines)


def wrong_places(text: str, truth: str) -> dict[int, int]:
    """Characters of what was read that are not there: their places, and the true ones where they stand."""
    wrong: dict[int, int] = {}
    for tag, begin, end, first, last in SequenceMatcher(None, text, truth, autojunk=False).get_opcodes():
        if tag in ("replace", "delete"):
            for n, place in enumerate(range(begin, end)):
                wrong[place] = min(first + min(n, max(0, last - first - 1)), len(truth) - 1)
    return wrong


def right_places(text: str, truth: str) -> list[int]:
    """Characters of the truth that were read."""
    blocks = SequenceMatcher(None, text, truth, autojunk=False).get_matching_blocks()
    return [place for block in blocks for place in range(block.b, block.b + block.size)]


def lowest_step(steps: npt.NDArray[np.float32], box: tuple[float, float, float, float]) -> int:
    """Of the blocks that a character lies over, what the least supported one is: 2, 1 or 0."""
    (left, top), (right, bottom) = (
        (int(value) // BLOCK for value in box[:2]),
        (-(-v // BLOCK) for v in box[2:]),
    )
    return int(steps[top : int(bottom), left : int(right)].min())


def judged(
    name: str,
    model: Model,
    plate: Plate,
    source: Frame,
    damages: tuple[Damage, Damage],
    texts: tuple[str, TextReader],
) -> Counter[str]:
    """One network's result of one plate: how many characters are what."""
    (measured, told), (plain, reader) = damages, texts
    chain = [with_damage(model, told)] if model.spec.packs > 1 else [model]
    (result,) = Engine(chain, EngineOptions(device="cpu", threads=1)).run([source])
    table = calibration_of(name).table_for(measured, "quick")
    (support,) = Measuring(table, measured).run([(source, result)])
    text = read(reader, to_rgb(result))
    wrong, right = wrong_places(text, plate.text), right_places(text, plate.text)
    in_plain = set(right_places(plain, text))
    over = [lowest_step(support.steps, plate.boxes[place]) for place in wrong.values()]
    over_right = [lowest_step(support.steps, plate.boxes[place]) for place in right]
    return Counter(
        {
            "read": len(text),
            "wrong": len(wrong),
            "wrong, not listed": sum(place in in_plain for place in wrong),
            "wrong, supported": sum(step == 2 for step in over),
            "wrong, partly": sum(step >= 1 for step in over),
            "right": len(right),
            "right, supported": sum(step == 2 for step in over_right),
            "right, partly": sum(step >= 1 for step in over_right),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--font", default="DejaVuSansMono-Bold.ttf", help="letters of one width")
    parser.add_argument("--each", type=int, default=6, help="plates of each height")
    given = parser.parse_args()
    rng, reader = np.random.default_rng(17), TextReader()
    models = {name: load(name) for name in given.networks}
    for height in HEIGHTS:
        counts = {name: Counter[str]() for name in ("plain", *models)}
        for _ in range(given.each):
            plate = drawn(rng, height, given.font)
            source = as_frame(damaged(plate.picture, DAMAGE))
            damages = damage_of_source(source, DAMAGE)
            enlarged = cv2.resize(to_rgb(source), PICTURE, interpolation=cv2.INTER_CUBIC)
            plain = read(reader, np.asarray(enlarged, np.uint8))
            counts["plain"].update({"read": len(plain), "wrong": len(wrong_places(plain, plate.text))})
            for name, model in models.items():
                counts[name].update(judged(name, model, plate, source, damages, (plain, reader)))
        for name, each in counts.items():
            told = ", ".join(f"{what} {number}" for what, number in each.items())
            print(f"{height} pixels, {given.each * LENGTH} characters, {name}: {told}", flush=True)


if __name__ == "__main__":
    main()
