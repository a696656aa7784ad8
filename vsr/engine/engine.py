"""The engine: frames in, enhanced frames out, through a chain of models on one device."""

import math
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch

from vsr.engine.device import CPU_THREADS, cpu_threads, pick_device
from vsr.engine.executor import rounding_on
from vsr.engine.stage import Stage
from vsr.engine.tiles import is_lost, is_out_of_memory
from vsr.engine.transfer import Pending, Transfer, transfer_for
from vsr.engine.unchanged import Contents
from vsr.errors import DeviceLostError, ModelError, SourceError, one_line
from vsr.frames import Frame, PictureFormat
from vsr.models import Model
from vsr.options import EngineOptions
from vsr.picture import Picture, from_planes, resize_picture, to_planes
from vsr.prefetch import closed_after
from vsr.trace import span


class Engine:
    """A chain of models, then at most one resampling. `run` may be used by one thread at a time."""

    def __init__(
        self,
        models: Sequence[Model],
        options: EngineOptions = EngineOptions(),
        *,
        size: tuple[int, int] | None = None,
        sample_aspect: Fraction | None = None,
        bit_depth: int | None = None,
        rgb: bool = False,
    ):
        """Move the models to the device.

        Args:
            models: applied one after the other; none at all passes frames on, resampled where `size` says so.
            options: device, precision, tiles, batch, threads.
            size: height, width of the output; None for what the chain gives.
            sample_aspect: of the output; None for the input's.
            bit_depth: of the output; None for the input's. Networks and resampling give more than 8 bits.
            rgb: give R'G'B' of full range, or grey, as picture files hold it, whatever the input is.

        Raises:
            ConfigError: the device or precision is not to be had.
        """
        self.stages = [Stage(model, options) for model in models]
        self.device = pick_device(options.device)
        at_once = max((stage.at_once for stage in self.stages), default=1)
        self.transfer: Transfer = transfer_for(self.device, at_once=at_once)
        self.threads = options.threads or CPU_THREADS
        self._notes: list[str] = []
        self.rounding = rounding_on(self.device, note=self._notes.append)
        self._size = size
        self._sample_aspect = sample_aspect
        self._bit_depth = bit_depth
        self._rgb = rgb
        self._ends = Ends(self)

    @property
    def num_reused(self) -> int:
        """Frames of the last run that left as the frame before them, because nothing had changed."""
        return self._ends.num_reused

    @property
    def notes(self) -> list[str]:
        """What the user should know of, in order."""
        return [*self._notes, *(note for stage in self.stages for note in stage.notes)]

    @property
    def share_skipped(self) -> float:
        """Part of the last run's pictures, by area and over all models, that no network had to run on."""
        shown = sum(stage.area.shown for stage in self.stages)
        return 1 - sum(stage.area.run for stage in self.stages) / shown if shown else 0.0

    @property
    def looks_around(self) -> bool:
        """Whether any model sees more than the frame it enhances, so that scene cuts matter."""
        contexts = [stage.spec.context for stage in self.stages]
        return any(
            context.before or context.after or context.emit > 1 or context.stateful for context in contexts
        )

    def output_format(self, format: PictureFormat) -> PictureFormat:
        """The format of the frames that come out for frames of `format`: what was not asked for is kept."""
        scale = math.prod(stage.spec.scale for stage in self.stages)
        height, width = self._size or (format.height * scale, format.width * scale)
        aspect, depth = self._sample_aspect or format.sample_aspect, self._bit_depth or format.bit_depth
        format = format.as_in_picture_files() if self._rgb else format
        return replace(format, height=height, width=width, sample_aspect=aspect, bit_depth=depth)

    def run(self, frames: Iterable[Frame]) -> Generator[Frame, None, None]:
        """Enhance a stream: as many frames come out as went in, in order, with
        their times. Flushes at the end.

        `frames` is closed, if it can be, in the thread that runs or closes this generator.

        Raises:
            SourceError: the planes of a frame are not what its format says.
        """
        leaving = self._leaving(frames)
        waiting: deque[Leaving] = deque()
        # Closed here, since a network that fails keeps `leaving` alive by its traceback.
        with closed_after(frames), self.calculating(self.threads):
            while True:
                with self.transfer.working():
                    item = next(leaving, None)
                if item is None:
                    break
                waiting.append(item)
                if len(waiting) > self.transfer.depth:
                    yield waiting.popleft().arrived()
            while waiting:
                yield waiting.popleft().arrived()

    def make_room(self) -> None:
        """Give back what memory of the device can be spared, because there was not enough behind the models."""
        for stage in self.stages:
            stage.make_room()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # what others still read comes back as well
            torch.cuda.empty_cache()

    @contextmanager
    def calculating(self, threads: int) -> Generator[None, None, None]:
        """Calculate on so many CPU threads while the block lasts.

        Raises:
            ModelError: the device's memory ran out outside of the networks.
            DeviceLostError: the GPU does not work any more for this process.
        """
        with cpu_threads(threads):
            try:
                yield
            except RuntimeError as error:
                if is_lost(error):
                    raise DeviceLostError(
                        f"{self.device} has failed and is lost to this process ({one_line(error)}); run the command "
                        "again, and look at the system's log if it happens again"
                    ) from error
                if not isinstance(error, torch.OutOfMemoryError):
                    raise
                raise ModelError(
                    f"no memory left on {self.device} for what follows the model ({one_line(error)})"
                ) from error

    def _leaving(self, frames: Iterable[Frame]) -> Generator["Leaving", None, None]:
        """Yield each frame with its planes on their way back."""
        self._ends = ends = Ends(self)
        pictures: Iterable[Picture] = map(ends.enter, frames)
        for stage in self.stages:
            pictures = stage.run(pictures)
        yield from map(ends.leave, pictures)


class Ends:
    """Where one stream enters an engine and leaves it: repeats are moved and converted once."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._contents = Contents()
        self._before: Picture | None = None
        self._left: tuple[int, Pending] | None = None
        """Content number of the last picture, and its planes."""
        self.num_reused = 0

    def enter(self, frame: Frame) -> Picture:
        """Bring the stream's next frame to the device."""
        _check_planes(frame)
        content = self._contents.number(frame)
        if self._before is None or content != self._before.content:
            with span("convert in"):
                self._before = from_planes(frame, self._engine.transfer.upload(frame.planes), content)
        return self._before.again(frame)

    def leave(self, picture: Picture) -> "Leaving":
        """The frame that a picture becomes, its planes on their way back."""
        format = self._engine.output_format(picture.frame.format)
        if self._left is not None and self._left[0] == picture.content:
            self.num_reused += 1
        else:
            with span("convert out"):
                self._left = picture.content, self._sent(picture, format)
        return Leaving(replace(picture.frame, format=format), self._left[1])

    def _sent(self, picture: Picture, format: PictureFormat) -> Pending:
        """A picture's planes on their way back; where memory is short, tried once more when room has been made."""
        try:
            return self._convert(picture, format)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        self._engine.make_room()  # here, where the error no longer holds what was half made
        return self._convert(picture, format)

    def _convert(self, picture: Picture, format: PictureFormat) -> Pending:
        sized = resize_picture(picture, (format.height, format.width))
        return self._engine.transfer.download(to_planes(sized, format, self._engine.rounding))


def _check_planes(frame: Frame) -> None:
    """Raise SourceError where a frame's planes are not what its format says: they would be taken for other pictures."""
    format = frame.format
    kind = np.dtype(np.uint8 if format.bit_depth == 8 else np.uint16)
    wanted = [(kind, format.plane_size(index)) for index in range(format.num_planes)]
    there = [(plane.dtype, plane.shape) for plane in frame.planes]
    if there != wanted or min(format.height, format.width) < 1:
        raise SourceError(
            f"frame at pts {frame.pts} has planes {_listed(there)}; {_listed(wanted)} are accepted, of one pixel at"
            f" least, by its format: {format.bit_depth} bit {format.layout}{' with alpha' * format.alpha}"
        )


def _listed(planes: Iterable[tuple[np.dtype, tuple[int, ...]]]) -> str:
    return ", ".join(f"{kind} {'x'.join(map(str, shape))}" for kind, shape in planes) or "none"


@dataclass(frozen=True, slots=True)
class Leaving:
    """An enhanced frame whose planes are on their way back from the device."""

    frame: Frame
    """Without planes."""
    planes: Pending

    def arrived(self) -> Frame:
        """Wait for the planes; the frame with them."""
        return replace(self.frame, planes=self.planes())
