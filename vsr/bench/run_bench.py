"""`vsr bench`: what each stage of the pipeline costs alone, how fast all are
together, and what could be at best.

The story of one row: the whole pipeline on a real clip, in turn with somebody else's program where one is
named; then each stage by itself; then the device's own peak.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from vsr.bench.bench_options import BenchOptions, models_and_sizes
from vsr.bench.clip import BenchClip, make_clip, ready_frames
from vsr.bench.cost import (
    Cost,
    Work,
    forget_peak_memory,
    measure_cost,
    median_of,
    peak_memory_bytes,
    spent,
    steady,
)
from vsr.bench.hardware_peak import measure_peak
from vsr.bench.other_program import OtherProgram
from vsr.bench.row import Row
from vsr.bench.stages import Parts, to_and_fro
from vsr.engine import Engine, num_cores, pick_device
from vsr.errors import ConfigError
from vsr.frames import Frame, PictureFormat
from vsr.jobs import in_own_ranges
from vsr.media import FileSink, MemorySink, Sink, VideoSource, choose_encoder, probe
from vsr.models import Model
from vsr.options import EngineOptions, EnhanceOptions
from vsr.pipeline import enhance
from vsr.scenes import mark_scene_cuts
from vsr.trace import Trace, recorded_spans

_READY = 16
"""Frames that lie ready for the stages behind the decoder; they are played to and fro."""
_READY_BYTES = 128 << 20


def bench_rows(
    clip: Path | None,
    options: BenchOptions = BenchOptions(),
    engine: EngineOptions = EngineOptions(),
    *,
    traced: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """Measure every model at every size. Nothing else should run on the machine.

    Args:
        clip: what is enhanced; None for a clip that is made.
        options: models, sizes, encoder.
        engine: device, precision, threads.
        traced: also record a run, with one model at one size.
        say: is told what is being measured.

    Raises:
        ModelError: a model is not known.
        SourceError: the clip cannot be read.
        ConfigError: an option cannot be used.
        VsrError: the program to compare with fails.
    """
    models, sizes = models_and_sizes(clip, options, pick_device(engine.device).type)
    if traced and len(models) * len(sizes) > 1:
        raise ConfigError("trace shows one model at one size; name no more")
    rows: list[Row] = []
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="vsr-bench-") as folder:
            made = make_clip(Path(folder), clip, size, few=options.few, many=options.frames)
            rows += [_Pipeline(model, made, options, engine).row(traced=traced, say=say) for model in models]
    return rows


class _NullSink(MemorySink):
    """Takes frames and forgets them."""

    def write(self, frame: Frame) -> None:
        pass


class _Pipeline:
    """One model's pipeline on one clip, whole and in stages; each takes the number of frames to work on."""

    def __init__(self, model: Model, clip: BenchClip, options: BenchOptions, engine: EngineOptions):
        self._clip, self._options, self._info = clip, options, probe(clip.long)
        (self._model,), chosen, self._of_int8 = in_own_ranges(
            (model,), self._info, EnhanceOptions(engine=engine), None
        )
        self._engine_options = chosen.engine
        self._engine = Engine([self._model], self._engine_options)
        self._format: PictureFormat = self._engine.output_format(self._info.format)
        self._output = clip.long.with_name("out.mp4" if clip.long.suffix == ".mp4" else "out.mkv")
        container = self._output.suffix[1:]
        wanted = options.encode
        self._choice = None if wanted is None else choose_encoder(wanted, self._format, container)

    def run(self, count: int) -> None:
        """The whole pipeline, as `vsr enhance` has it."""
        enhance(VideoSource(self._path(count)), self._engine, self._sink(count))

    def decode(self, count: int) -> None:
        """All that the decode thread does."""
        frames = VideoSource(self._path(count)).frames()
        for _ in mark_scene_cuts(frames) if self._engine.looks_around else frames:
            pass

    def encoding(self, frames: Sequence[Frame]) -> Work:
        """All that the caller's thread and FFmpeg do, on enhanced frames that lie ready."""
        step = max(1, frames[1].pts - frames[0].pts)

        def encode(count: int) -> None:
            with self._sink(count) as sink:
                for index, frame in enumerate(to_and_fro(frames, count)):
                    sink.write(replace(frame, pts=index * step))

        return encode

    def _path(self, count: int) -> Path:
        return self._clip.short if count == self._clip.few else self._clip.long

    def _sink(self, count: int) -> Sink:
        encode = self._options.encode
        if encode is None:
            return _NullSink()
        info = replace(self._info, path=str(self._path(count)))
        return FileSink(self._output, source=info, format=self._format, options=encode, choice=self._choice)

    def row(self, *, traced: bool, say: Callable[[str], None]) -> Row:
        """Measure everything."""
        spec, clip, device = self._model.spec, self._clip, pick_device(self._engine_options.device)
        size = (self._info.format.height, self._info.format.width)
        say(f"{spec.name} at {size[1]}x{size[0]}: end to end ...")
        forget_peak_memory()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        end_to_end, against = self._in_turn(say)
        memory, notes = peak_memory_bytes(), self._notes()
        gpu_memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
        parts, stages = self._stages(say)
        say("the device's peak ...")
        peak = measure_peak(
            self._model.network, parts.placement, size, workers=parts.workers, threads_each=parts.threads_each
        )
        return Row(
            model=spec.name,
            device=parts.placement.device,
            precision=parts.placement.precision,
            input_size=size,
            output_size=(self._format.height, self._format.width),
            num_frames=clip.many,
            encoder=self._encoder(),
            workers=parts.workers,
            threads_each=parts.threads_each,
            cores=num_cores(),
            stages=stages,
            end_to_end=end_to_end,
            gflop_per_frame=spec.kflop_per_pixel * size[0] * size[1] / 1e6,
            peak=peak,
            peak_memory_bytes=memory,
            peak_gpu_bytes=gpu_memory,
            against=against,
            notes=notes,
            trace=self._trace() if traced else None,
        )

    def _notes(self) -> tuple[str, ...]:
        """What the engine says of its last run, and why its figures differ from the stages' alone."""
        notes, engine = [*self._of_int8, *self._engine.notes], self._engine
        if engine.num_reused:
            notes.append(
                f"{engine.num_reused} of {self._clip.many} frames repeat the one before and took its result"
            )
        if (
            self._engine_options.skip_static == "on"
            or engine.share_skipped > engine.num_reused / self._clip.many + 0.005
        ):
            notes.append(
                "skip-static: what did not change is left out end to end, and enhanced in the stages alone"
            )
        return tuple(notes)

    def _in_turn(self, say: Callable[[str], None]) -> tuple[Cost, Cost | None]:
        """Ours end to end and, where there is one, the other program: one after the other, as often as asked."""
        few, many = self._clip.few, self._clip.many
        program = OtherProgram(self._options.against) if self._options.against else None
        theirs = self._output.with_name("against" + self._output.suffix)
        size = (self._format.height, self._format.width)

        def other(count: int) -> None:
            assert program is not None
            program.run(self._path(count), theirs, size)

        works: list[Work] = [self.run] if program is None else [self.run, other]
        costs: list[list[Cost]] = [[] for _ in works]
        for work in works:
            work(few)
        for index in range(self._options.repeat):
            for work, found in zip(works, costs, strict=True):
                found.append(steady(spent(work, few), spent(work, many), few, many))
            say(f"  run {index + 1}: " + ", against ".join(f"{found[-1].fps:.3g} fps" for found in costs))
        ours, *others = map(median_of, costs)
        return ours, others[0] if others else None

    def _stages(self, say: Callable[[str], None]) -> tuple[Parts, dict[str, Cost]]:
        ready = ready_frames(self._clip, _READY, _READY_BYTES, self._model.spec.scale)
        ready = [replace(frame, reset=False) for frame in ready]
        parts = Parts(self._model, self._engine_options, ready)
        works: dict[str, Work] = {"decode": self.decode, **parts.each()}
        if self._options.encode is not None:
            works["encode"] = self.encoding(list(self._engine.run(ready)))
        stages: dict[str, Cost] = {}
        for name, work in works.items():
            say(f"{name} alone ...")
            stages[name] = measure_cost(
                work, few=self._clip.few, many=self._clip.many, repeat=self._options.repeat
            )
        return parts, stages

    def _encoder(self) -> str:
        if self._choice is None:
            return "null"
        arguments = dict(self._choice.arguments)
        return " ".join([self._choice.encoder, arguments.get("preset", "")]).strip()

    def _trace(self) -> Trace:
        with recorded_spans() as trace:
            self.run(self._clip.many)
        return trace
