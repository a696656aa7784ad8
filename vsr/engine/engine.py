"""The engine: frames in, enhanced frames out, through a chain of models on one device."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import torch

from vsr.config import EngineOptions
from vsr.engine.device import CPU_THREADS, pick_device
from vsr.engine.prepare import rounding_on
from vsr.engine.repeats import number_contents
from vsr.engine.stage import Stage
from vsr.engine.transfer import Pending, Transfer, transfer_for
from vsr.errors import ModelError
from vsr.frames import Frame, PictureFormat
from vsr.models.spec import Model
from vsr.pictures import Picture, from_planes, resize_picture, to_planes
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
    ):
        """Move the models to the device.

        Args:
            models: applied one after the other; none at all passes frames on, resampled where `size` says so.
            options: device, precision, tiles, batch, threads.
            size: height, width of the output; None for what the chain gives.
            sample_aspect: of the output; None for the input's.

        Raises:
            ConfigError: the device or precision is not to be had.
        """
        self.stages = [Stage(model, options) for model in models]
        self._device = pick_device(options.device)
        at_once = max((stage.at_once for stage in self.stages), default=1)
        self._transfer: Transfer = transfer_for(self._device, at_once=at_once)
        self._threads = options.threads or CPU_THREADS
        self._notes: list[str] = []
        self._to_codes = rounding_on(self._device, note=self._notes.append)
        self._size = size
        self._sample_aspect = sample_aspect
        self.num_reused = 0
        """Frames of the last run that left as the frame before them, because nothing had changed."""

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
        return any(context.before or context.after or context.emit > 1 or context.stateful for context in contexts)

    def output_format(self, format: PictureFormat) -> PictureFormat:
        """The format of the frames that come out for frames of `format`: everything but the size is kept."""
        scale = 1
        for stage in self.stages:
            scale *= stage.spec.scale
        height, width = self._size or (format.height * scale, format.width * scale)
        return replace(format, height=height, width=width, sample_aspect=self._sample_aspect or format.sample_aspect)

    def run(self, frames: Iterable[Frame]) -> Generator[Frame, None, None]:
        """Enhance a stream: as many frames come out as went in, in order, with their times. Flushes at the end.

        `frames` is closed, if it can be, in the thread that runs or closes this generator.
        """
        threads_before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        leaving = self._leaving(frames)
        waiting: deque[tuple[Frame, Pending]] = deque()
        try:
            while True:
                with self._transfer.working():
                    item = next(leaving, None)
                if item is None:
                    break
                waiting.append(item)
                if len(waiting) > self._transfer.depth:
                    yield _arrived(*waiting.popleft())
            while waiting:
                yield _arrived(*waiting.popleft())
        except torch.OutOfMemoryError as error:
            raise ModelError(f"no memory left on {self._device} for what follows the model ({error})") from error
        finally:
            torch.set_num_threads(threads_before)
            # When a network fails, its traceback keeps the generators above alive: they would not close the source.
            close = getattr(frames, "close", None)
            if close is not None:
                close()

    def _leaving(self, frames: Iterable[Frame]) -> Generator[tuple[Frame, Pending], None, None]:
        """Yield each frame with its planes on their way back."""
        pictures: Iterable[Picture] = _uploaded(frames, self._transfer)
        for stage in self.stages:
            pictures = stage.run(pictures)
        left: tuple[int, Pending] | None = None
        self.num_reused = 0
        for picture in pictures:
            if left is not None and left[0] == picture.content:
                self.num_reused += 1
            else:
                left = picture.content, self._leave(picture)
            yield self._outgoing(picture), left[1]

    def _leave(self, picture: Picture) -> Pending:
        format = self.output_format(picture.frame.format)
        with span("convert out"):
            sized = resize_picture(picture, (format.height, format.width))
            return self._transfer.download(to_planes(sized, format, self._to_codes))

    def _outgoing(self, picture: Picture) -> Frame:
        return replace(picture.frame, format=self.output_format(picture.frame.format))


def _uploaded(frames: Iterable[Frame], transfer: Transfer) -> Iterator[Picture]:
    picture: Picture | None = None
    for frame, content in number_contents(frames):
        if picture is None or content != picture.content:
            with span("convert in"):
                picture = from_planes(frame, transfer.upload(frame.planes), content)
        yield picture.again(frame)


def _arrived(frame: Frame, pending: Pending) -> Frame:
    return replace(frame, planes=pending())
