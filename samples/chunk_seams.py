"""What a network that runs forth and back through a clip loses by being shown it in chunks.

    python samples/chunk_seams.py CLIP WEIGHTS.pth --emit 15 --margins 0 1 2 5 10

The clip is enhanced whole, then in chunks that give `--emit` frames each and look at so many frames after them. Luma is
compared with the whole clip's in the first, the middle and the last frames of the chunks; after the last lies the seam.
"""

import argparse
from collections.abc import Sequence

import numpy as np

import vsr
from vsr.models import in_chunks
from vsr.quality import psnr


def enhanced(model: vsr.Model, frames: Sequence[vsr.Frame], options: vsr.EngineOptions) -> list[np.ndarray]:
    return [frame.planes[0] for frame in vsr.Engine([model], options).run(frames)]


def row(name: str, whole: Sequence[np.ndarray], parts: Sequence[np.ndarray], places: Sequence[int]) -> str:
    figures = [psnr(whole[place], parts[place], peak=255) for place in places]
    largest = max(int(np.abs(whole[place].astype(int) - parts[place]).max()) for place in places)
    return f"{name}: PSNR {min(figures):.2f} to {max(figures):.2f} dB, largest difference {largest}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip")
    parser.add_argument("weights")
    parser.add_argument("--frames", type=int, default=45)
    parser.add_argument("--emit", type=int, default=15)
    parser.add_argument("--margins", type=int, nargs="+", default=[0, 1, 2, 5, 10])
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    model, options = vsr.load(given.weights), vsr.EngineOptions(device=given.device, precision="fp32")
    source = vsr.VideoSource(given.clip).frames()
    frames = [frame for _, frame in zip(range(given.frames), source, strict=False)]
    whole = enhanced(in_chunks(model, emit=len(frames), margin=0), frames, options)
    # The last chunk ends with the clip and has no seam.
    firsts = range(0, len(frames) - given.emit, given.emit)
    places = {"first": 0, "middle": given.emit // 2, "last": given.emit - 1}
    for margin in given.margins:
        parts = enhanced(in_chunks(model, emit=given.emit, margin=margin), frames, options)
        print(f"margin {margin}")
        for name, place in places.items():
            print(" ", row(name, whole, parts, [first + place for first in firsts]))


if __name__ == "__main__":
    main()
