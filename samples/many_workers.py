"""How the throughput of a long job grows with its workers: its segments scheduled as they are, with measured costs.

    python samples/many_workers.py [--seconds 7200] [--rate 24] [--segment 20] [--frame-s 0.0875] ...

Whoever holds the journal reads ahead for borders; a segment is ready when its border has been found, and goes to the
worker that is free first. In the end one process joins all segments and verifies the result. Defaults are CPU-seconds
of `fast-x2` at 768x432 on one Zen 4 core, medians of three measurements.
"""

import argparse
import heapq
from collections.abc import Sequence
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Costs:
    """Seconds, of a worker that has a core to itself."""

    frame_s: float = 0.0875
    """A worker for a frame."""
    segment_s: float = 0.34
    """A worker for each segment beside its frames: entering the file, warming up, starting the encoder, flushing it,
    hashing and syncing the file."""
    start_s: float = 2.4
    """A worker until it can begin: its process, PyTorch, the networks."""
    read_s: float = 0.0011
    """Reading ahead, for a frame."""
    join_s: float = 0.0004
    """Joining and verifying, for a frame."""


def duration(segments: Sequence[int], workers: int, costs: Costs) -> float:
    """Seconds from the first frame read to the finished file, for segments of so many frames."""
    free = [costs.start_s] * workers
    ready = 0.0
    for frames in segments:
        ready += frames * costs.read_s
        begin = max(heapq.heappop(free), ready)
        heapq.heappush(free, begin + costs.segment_s + frames * costs.frame_s)
    return max(free) + sum(segments) * costs.join_s


def lengths(frames: int, each: int) -> list[int]:
    """Segments of `each` frames, and the rest."""
    return [each] * (frames // each) + ([frames % each] if frames % each else [])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=7200, help="length of the film")
    parser.add_argument("--rate", type=float, default=24, help="frames a second")
    parser.add_argument("--segment", type=float, default=20, help="seconds of a segment")
    for field in fields(Costs):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=float, default=field.default)
    given = parser.parse_args()
    costs = Costs(**{field.name: getattr(given, field.name) for field in fields(Costs)})
    segments = lengths(round(given.seconds * given.rate), round(given.segment * given.rate))
    alone = duration(segments, 1, costs)
    print(
        "| workers | hours | frames a second | times one worker | of the ideal |\n| --- | --- | --- | --- | --- |"
    )
    for workers in (1, 2, 4, 8, 16, 32, 64):
        seconds = duration(segments, workers, costs)
        gain = alone / seconds
        print(
            f"| {workers} | {seconds / 3600:.3g} | {sum(segments) / seconds:.0f} | {gain:.2f} | {gain / workers:.0%} |"
        )


if __name__ == "__main__":
    main()
