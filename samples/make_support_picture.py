"""Make the picture of docs/support.md: two networks' results of `astronaut.png`, with lines over what it does not
support. Runs the product."""

import tempfile
from pathlib import Path

import cv2
import numpy as np

from vsr.cli.main import run

HERE = Path(__file__).parent
NETWORKS = ("base-real-x2", "base-sharp-x2")
GAP = 6
QUALITY = 88


def drawn(name: str, folder: Path) -> np.ndarray:
    words = ["enhance", str(HERE / "astronaut.png"), "-o", str(folder / f"{name}.png"), "--model", name]
    if run([*words, "--support", "_map.png", "--support", "full"]):
        raise SystemExit(1)
    picture = cv2.imread(str(folder / f"{name}_map.png"))
    assert picture is not None
    return picture


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        left, right = (drawn(name, Path(folder)) for name in NETWORKS)
    gap = np.full((len(left), GAP, 3), 255, np.uint8)
    path = HERE.parent / "docs" / "support-sharp.jpg"
    cv2.imwrite(str(path), np.hstack([left, gap, right]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    main()
