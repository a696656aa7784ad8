"""The ladder: all built-in networks on the field's test sets, beside baselines
and OpenCV's networks, with time and cost."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vsr.errors import ConfigError, SourceError
from vsr.evaluation.candidates import Candidate, our_candidate, time_per_frame
from vsr.evaluation.score_pictures import score_set
from vsr.evaluation.test_sets import PictureSet
from vsr.frames import Frame, PictureFormat
from vsr.models import BASELINES, tiers
from vsr.options import EngineOptions
from vsr.quality import Judge, Score

SCALES = (2, 3, 4)
SETS = ("Set5", "BSD100")
FRAMES = ((360, 640), (240, 320))
"""Height and width of the frames on which time is measured: ordinary video, and the article's on OpenCV."""
OPENCV = ("FSRCNN", "FSRCNN-small", "ESPCN")
"""Networks of OpenCV's dnn_superres, as `NAME_xSCALE.pb`; OpenCV reads them no more since 5.1, so they run as ours."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One network at one scale."""

    name: str
    """Its tier, or the name of OpenCV's network."""
    scale: int
    is_ours: bool
    precision: str
    kflop_per_pixel: float
    latency_frames: int
    ms_per_frame: dict[str, float]
    """By the size of the input, as `640x360`; the median of some rounds over a stream, on all threads."""
    scores: dict[str, Score]
    """Means over each test set; empty at scale 1, for which these sets have nothing to restore."""


def measure_models(
    data: Path,
    options: EngineOptions = EngineOptions(),
    *,
    only: Sequence[str] = (),
    say: Callable[[str], None] = lambda line: None,
) -> list[TableRow]:
    """Score and time every network that has a name.

    Args:
        data: folder with `testsets/Set5/HR` and `testsets/BSD100`; OpenCV's networks in
            `weights/opencv_dnn_sr` where they are there. Reduced versions are made here.
        options: device, precision, threads.
        only: names of tiers and networks; empty for all.
        say: is told what is being measured.

    Raises:
        ConfigError: a name is not known.
        SourceError: a test set is missing.
    """
    _check(only, data)
    rungs: list[TableRow] = []
    for scale in (*SCALES, 1):
        sets = (
            {name: list(PictureSet(_folder(data, name), None, scale)) for name in SETS} if scale > 1 else {}
        )
        for candidate, is_ours in _candidates(data, scale, options, only):
            say(f"{candidate.name} x{scale} ...")
            scores = {name: score_set(candidate, pairs, Judge(scale)).score for name, pairs in sets.items()}
            times = {
                f"{width}x{height}": time_per_frame(candidate, moving_shapes(height, width))
                for height, width in FRAMES
            }
            cost, wait = candidate.kflop_per_pixel, candidate.latency_frames
            rungs.append(
                TableRow(candidate.name, scale, is_ours, candidate.precision, cost, wait, times, scores)
            )
    return rungs


def _check(only: Sequence[str], data: Path) -> None:
    unknown = sorted(set(only) - {*tiers(), *OPENCV})
    if unknown:
        raise ConfigError(f"{', '.join(unknown)}: no such rung; there are {', '.join((*tiers(), *OPENCV))}")
    for name in SETS:
        if not _folder(data, name).is_dir():
            raise SourceError(
                f"{_folder(data, name)} does not exist; name the folder that holds testsets/ by --data"
            )


def _folder(data: Path, name: str) -> Path:
    folder = data / "testsets" / name
    return folder / "HR" if (folder / "HR").is_dir() else folder


def _candidates(
    data: Path, scale: int, options: EngineOptions, only: Sequence[str]
) -> Iterator[tuple[Candidate, bool]]:
    for tier, scales in tiers().items():
        if scale in scales and (not only or tier in only):
            yield our_candidate(tier, scale, options), tier not in BASELINES
    for name in OPENCV:
        path = data / "weights" / "opencv_dnn_sr" / f"{name}_x{scale}.pb"
        if path.is_file() and (not only or name in only):
            network = our_candidate(str(path), scale, replace(options, precision="fp32"))
            yield replace(network, name=name), False


def moving_shapes(height: int, width: int, num_frames: int = 6) -> list[Frame]:
    """Make 8-bit 4:2:0 frames to measure time on: smooth shapes that move, under a little noise."""
    format = PictureFormat(height, width, matrix="smpte170m")
    rng = np.random.default_rng(0)

    def plane(size: tuple[int, int], phase: float) -> np.ndarray:
        y, x = np.mgrid[0 : size[0], 0 : size[1]] / 40
        values = 128 + 60 * np.sin(x + phase) * np.cos(y - phase) + rng.normal(0, 3, size)
        return values.astype(np.uint8)

    return [
        Frame(tuple(plane(format.plane_size(i), n / 4 + i) for i in range(3)), format, pts=n)
        for n in range(num_frames)
    ]
