"""How far a network disagrees with itself, and with its kin, when it is shown the same source otherwise.

The source is turned and mirrored into the seven other poses of a self-ensemble; in one of them it is read half a pixel
beside its samples, in another it is stored as a JPEG once more. What the source decides comes out alike each time.
Each frame is shown alone, also to networks that look at several.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from vsr.engine import Engine
from vsr.frames import Frame, Plane
from vsr.models import POSES, Model, Pose, all_models, find_model, load
from vsr.options import EngineOptions
from vsr.resample import resize
from vsr.support.lumas import nominal_luma
from vsr.support.signals import Map, rms_of

_SHIFTED, _STORED = 3, 5
"""Which of the poses is also shifted, and which is also stored."""

_HALF = 0.5
"""Of a source pixel."""

_QUALITIES = (40, 95)
"""Of the JPEG: (1 - compression) of what the source shows, within these."""


class Doubters:
    """Networks that are asked again."""

    def __init__(self, chain: Sequence[Model], options: EngineOptions, *, compression: float):
        """Load them onto their device.

        Args:
            chain: what made the result.
            options: how it runs.
            compression: of the source, 0 to 1.
        """
        self._engine = Engine(chain, options)
        self._kin = [Engine([model], options) for model in kin_of(chain)]
        low, high = _QUALITIES
        self._quality = round(min(high, max(low, 100 * (1 - compression))))

    def disagreement(self, source: Frame, result: Tensor) -> Map:
        """Standard deviation of all answers, the result among them, RMS over each block, in code values.

        Args:
            source: a frame as the network has seen it.
            result: luma of what came of it, (H, W) float32.
        """
        total, squares, count = result.double(), result.double() ** 2, 1
        for answer in self._answers(_full(source), (result.shape[0], result.shape[1])):
            total, squares, count = total + answer, squares + answer.double() ** 2, count + 1
        variance = (squares / count - (total / count) ** 2).clamp(min=0)
        return rms_of(variance.sqrt().float(), (source.format.height, source.format.width))

    def _answers(self, source: Frame, size: tuple[int, int]) -> Iterator[Tensor]:
        """Luma of each other answer, at the size of the result."""
        for place, pose in enumerate(POSES[1:]):
            shown = _moved(source) if place == _SHIFTED else source
            shown = _stored(shown, self._quality) if place == _STORED else shown
            answer = _unposed(self._asked(self._engine, _posed(shown, pose)), pose)
            shift = [
                -_HALF * side / of for side, of in zip(answer.shape, source.planes[0].shape, strict=True)
            ]
            yield _at_size(answer, size, (shift[0], shift[1]) if place == _SHIFTED else (0.0, 0.0))
        for engine in self._kin:
            yield _at_size(self._asked(engine, source), size)

    def _asked(self, engine: Engine, frame: Frame) -> Tensor:
        (answer,) = engine.run([replace(frame, reset=True)])
        return nominal_luma(answer)


def kin_of(chain: Sequence[Model]) -> list[Model]:
    """The next cheaper network of the same kind and scale, and, where the network paints, one that does not."""
    if len(chain) != 1 or (facts := find_model(chain[0].spec.name)) is None or not facts.tier:
        return []
    kinds = [_kind(facts.tier)] + (["-real"] if facts.generative else [])
    found: list[Model] = []
    for kind in kinds:
        cheaper = [
            each
            for each in all_models()
            if each.tier
            and each.network
            and each.num_frames == 1
            and _kind(each.tier) == kind
            and each.scale == facts.scale
            and each.trained_on != "nothing"
            and each.kflop_per_pixel < facts.kflop_per_pixel
        ]
        if cheaper:
            found.append(load(max(cheaper, key=lambda each: each.kflop_per_pixel).name))
    return found


def _kind(tier: str) -> str:
    return next((kind for kind in ("-real", "-sharp") if tier.endswith(kind)), "")


def _full(frame: Frame) -> Frame:
    """With chroma at the size of luma, so that it can be turned."""
    format = frame.format
    if format.layout not in ("yuv420", "yuv422"):
        return frame
    size = (format.width, format.height)
    chroma = [cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in frame.planes[1:3]]
    planes = (frame.planes[0], *(np.asarray(plane) for plane in chroma), *frame.planes[3:])
    return replace(frame, planes=planes, format=replace(format, layout="yuv444"))


def _posed(frame: Frame, pose: Pose) -> Frame:
    mirrored, turns = pose
    planes = [np.rot90(plane[:, ::-1] if mirrored else plane, turns) for plane in frame.planes]
    height, width = planes[0].shape
    format = replace(frame.format, height=height, width=width)
    return replace(frame, planes=tuple(np.ascontiguousarray(plane) for plane in planes), format=format)


def _unposed(answer: Tensor, pose: Pose) -> Tensor:
    mirrored, turns = pose
    answer = torch.rot90(answer, -turns, (0, 1))
    return answer.flip(1) if mirrored else answer


def _at_size(answer: Tensor, size: tuple[int, int], shift: tuple[float, float] = (0.0, 0.0)) -> Tensor:
    """Shifted by its own samples, then at the size of the result."""
    if shift == (0.0, 0.0) and answer.shape == size:
        return answer
    ratio = (answer.shape[0] / size[0], answer.shape[1] / size[1])
    return resize(answer[None, None].contiguous(), size, ratio=ratio, shift=shift)[0, 0]


def _moved(frame: Frame) -> Frame:
    """Read half a pixel further down and to the right."""
    most = (1 << frame.format.bit_depth) - 1

    def at(plane: Plane) -> Plane:
        moved = resize(
            torch.from_numpy(plane.astype(np.float32))[None, None], plane.shape, shift=(_HALF, _HALF)
        )
        return moved[0, 0].round().clamp(0, most).numpy().astype(plane.dtype)

    return replace(frame, planes=tuple(at(plane) for plane in frame.planes))


def _stored(frame: Frame, quality: int) -> Frame:
    """Each plane through JPEG, in 8 bits."""
    drop = frame.format.bit_depth - 8

    def through(plane: Plane) -> Plane:
        file = cv2.imencode(".jpg", (plane >> drop).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.asarray(cv2.imdecode(file, cv2.IMREAD_GRAYSCALE)).astype(plane.dtype) << drop

    return replace(frame, planes=tuple(through(plane) for plane in frame.planes))
