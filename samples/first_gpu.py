"""What to find out on a GPU that vsr has not met: each step a few minutes, in this order, figures on the screen.

    python samples/first_gpu.py device|tests|order|ways|live|speed|parts|decoders [--device cuda] [--model NAME ...]

`--device cpu --quick` shows on any machine that the steps still run. `tests` wants pytest and its plug-ins.
"""

import argparse
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vsr.bench.stages import Parts
from vsr.engine import Engine, ManyStreams
from vsr.frames import Frame, PictureFormat
from vsr.media import VideoSource
from vsr.models import Model, load
from vsr.options import EngineOptions, ReadOptions

ROOT = Path(__file__).resolve().parents[1]
GPU_TESTS = (
    "tests/engine/test_triton_rounding.py",
    "tests/engine/test_engine.py",
    "tests/engine/test_gpu_engine.py",
    "tests/engine/test_sweep.py",
    "tests/media/reading/test_nvdec.py",
    "tests/bench/test_bench.py",
)


@dataclass(frozen=True)
class Run:
    """What is asked of all steps."""

    device: str
    models: tuple[str, ...]
    quick: bool
    """A few small frames: to see that the steps run, and not how fast."""

    @property
    def sizes(self) -> list[tuple[int, int]]:
        return [(36, 64)] if self.quick else [(360, 640), (720, 1280), (1080, 1920)]

    def count(self, number: int) -> int:
        return 6 if self.quick else number


def noise(number: int, height: int, width: int) -> list[Frame]:
    """Frames of which none is like the one before."""
    rng = np.random.default_rng(0)
    format = PictureFormat(height, width, matrix="bt709")
    planes = [
        tuple(rng.integers(16, 235, format.plane_size(i)).astype(np.uint8) for i in range(3))
        for _ in range(4)
    ]
    return [Frame(planes[n % 4], format, pts=n) for n in range(number)]


def finish(run: Run) -> None:
    if run.device != "cpu":
        torch.cuda.synchronize()


def speed(run: Run, model: Model, size: tuple[int, int], number: int, **options: Any) -> str:
    """Frames a second with no decoder and no encoder, memory at most, CPU time."""
    engine = Engine([model], EngineOptions(device=run.device, **options))
    frames = noise(run.count(number), *size)
    for _ in range(2):  # shapes are recorded when they have come eight times
        list(engine.run(frames))
    finish(run)
    if run.device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    began, cpu = time.perf_counter(), time.process_time()
    list(engine.run(frames))
    finish(run)
    rate = len(frames) / (time.perf_counter() - began)
    core_ms = 1e3 * (time.process_time() - cpu) / len(frames)
    memory = torch.cuda.max_memory_allocated() / 2**30 if run.device != "cpu" else 0
    name = f"{model.spec.name} {size[1]}x{size[0]} {options or ''}"
    return (
        f"{name}: {rate:.1f} frames/s, {memory:.2f} GiB, {core_ms:.1f} core-ms a frame {engine.notes or ''}"
    )


def device_step(run: Run) -> None:
    """The device itself: copies, waiting by events of both kinds, TF32."""
    if run.device == "cpu":
        print("no GPU is asked for")
        return
    facts = torch.cuda.get_device_properties(0)
    print(torch.__version__, facts.name, torch.backends.cudnn.version(), torch.cuda.get_arch_list())
    one, other = (torch.empty(1 << 30, dtype=torch.uint8, device="cuda") for _ in range(2))
    pinned = torch.empty(1 << 28, dtype=torch.uint8, pin_memory=True)
    copies: dict[str, tuple[int, Callable[[], object]]] = {
        "on the device, read and write": (2 << 30, lambda: one.copy_(other)),
        "up": (1 << 28, lambda: one[: 1 << 28].copy_(pinned, non_blocking=True)),
        "down": (1 << 28, lambda: pinned.copy_(one[: 1 << 28], non_blocking=True)),
    }
    for name, (num_bytes, copy) in copies.items():
        copy()
        finish(run)
        began = time.perf_counter()
        for _ in range(5):
            copy()
        finish(run)
        print(f"{name}: {5 * num_bytes / (time.perf_counter() - began) / 1e9:.1f} GB/s")
    for blocking in (False, True):
        event = torch.cuda.Event(blocking=blocking)
        torch.cuda._sleep(400_000_000)
        event.record()
        wall, core = time.perf_counter(), time.thread_time()
        event.synchronize()
        wall, core = 1e3 * (time.perf_counter() - wall), 1e3 * (time.thread_time() - core)
        print(f"an event, blocking {blocking}: {wall:.0f} ms of wall clock, {core:.0f} ms of a core")


def tests_step(run: Run) -> None:
    """All tests that want a GPU; without one they are only collected."""
    how = ["--collect-only"] if run.device == "cpu" else ["-rs", "--timeout=150"]
    environment = {**os.environ, "VSR_REQUIRE_GPU": "" if run.device == "cpu" else "1"}
    plain = ["-o", "addopts=--import-mode=importlib", "-p", "no:cacheprovider", "-q", "-m", "gpu"]
    subprocess.run(
        [sys.executable, "-m", "pytest", *plain, *how, *GPU_TESTS], cwd=ROOT, env=environment, check=True
    )


def order_step(run: Run) -> None:
    """PyTorch's own sanitizer of streams, which ends the process at the first race."""
    command = [sys.executable, __file__, "eager", "--device", run.device, "--quick"]
    subprocess.run(command, env={**os.environ, "TORCH_CUDA_SANITIZER": "1"}, check=True)


def eager_step(run: Run) -> None:
    """Little of everything, as it stands: the sanitizer knows no graphs."""
    for name in ("nano-x2", "video-x4"):
        print(speed(run, load(name), (90, 160), 12, executor="eager"))


def ways_step(run: Run) -> None:
    """Ways to run a network: graphs should be twice as fast as eager at 320x180."""
    ways = ["eager"] if run.device == "cpu" else ["eager", "graphs", "compile"]
    for name in run.models:
        for size in ((180, 320), (720, 1280)) if not run.quick else run.sizes:
            for way in ways:
                print(speed(run, load(name), size, 64, executor=way))


def live_step(run: Run) -> None:
    """Rounds of 1 to 12 frames of two sizes: the slowest hundredth within three times the median."""
    for name in run.models:
        engine = Engine([load(name)], EngineOptions(device=run.device, batch=16))
        streams, rng, rounds = ManyStreams(engine), random.Random(0), list[float]()
        for number in range(run.count(400)):
            size = run.sizes[int(rng.random() > 0.7) % len(run.sizes)]
            frames = noise(rng.randint(1, 12), *size)
            began = time.perf_counter()
            while not streams.has_room:
                streams.finished()
                time.sleep(0.0002)
            offset = 100 * run.sizes.index(size)
            streams.begin([replace(frame, stream=n + offset, pts=number) for n, frame in enumerate(frames)])
            streams.finished()
            rounds.append(1e3 * (time.perf_counter() - began))
        streams.finished(wait=True)
        streams.close()
        p50, p95, p99 = np.percentile(rounds, [50, 95, 99])
        print(
            f"{name}: {p50:.1f} ms, p95 {p95:.1f}, p99 {p99:.1f}, most {max(rounds):.1f} {engine.notes or ''}"
        )


def speed_step(run: Run) -> None:
    """Every model at every size; batches of one, and fp32, beside what `auto` does."""
    for name in run.models:
        for size in run.sizes:
            print(speed(run, load(name), size, 100))
    for options in ({"batch": 1}, {"precision": "fp32"}):
        print(speed(run, load(run.models[0]), run.sizes[-1], 100, **options))


def parts_step(run: Run) -> None:
    """Milliseconds a frame of each part alone: `convert out` should be small beside `model`."""
    for name in run.models:
        for size in run.sizes:
            parts = Parts(load(name), EngineOptions(device=run.device), noise(8, *size))
            told: list[str] = []
            for part, work in parts.each().items():
                number = run.count(48)
                work(8)
                began = time.perf_counter()
                work(number)
                told.append(f"{part} {1e3 * (time.perf_counter() - began) / number:.2f}")
            print(f"{name} {size[1]}x{size[0]}: {', '.join(told)} ms")


def decoders_step(run: Run) -> None:
    """NVDEC against software on the sample clip."""
    for decoder in ("software",) if run.device == "cpu" else ("software", "nvdec"):
        source = VideoSource(ROOT / "samples/street.mp4", ReadOptions(decoder=decoder))
        began, cpu = time.perf_counter(), time.process_time()
        number = sum(1 for _ in source.frames())
        core_ms = 1e3 * (time.process_time() - cpu) / number
        rate = number / (time.perf_counter() - began)
        print(f"{decoder}: {rate:.0f} frames/s, {core_ms:.2f} core-ms a frame {source.counts.notes or ''}")


STEPS = {
    "device": device_step,
    "tests": tests_step,
    "order": order_step,
    "eager": eager_step,
    "ways": ways_step,
    "live": live_step,
    "speed": speed_step,
    "parts": parts_step,
    "decoders": decoders_step,
}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", nargs="+", default=["fast-x2", "base-x2"], help="names or checkpoints")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args(words)
    STEPS[asked.step](Run(asked.device, tuple(asked.model), asked.quick))


if __name__ == "__main__":
    main()
