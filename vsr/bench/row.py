"""What `vsr bench` found out about one model at one size."""

from dataclasses import dataclass

import torch

from vsr.bench.cost import Cost
from vsr.bench.hardware_peak import Peak
from vsr.trace import Trace

ON_COMPUTE_STREAM = ("convert in", "model", "convert out")
"""Stages that follow one another on a GPU's one compute stream, and count as
one where the slowest is looked for."""


@dataclass(frozen=True)
class Row:
    """One model at one size."""

    model: str
    device: torch.device
    precision: str
    input_size: tuple[int, int]
    """Height, width."""
    output_size: tuple[int, int]
    """Height, width."""
    num_frames: int
    encoder: str
    """FFmpeg's name and preset."""
    workers: int
    """Batches that the engine has under way at once on a CPU."""
    threads_each: int
    """CPU threads of each of them."""
    cores: int
    stages: dict[str, Cost]
    """Each stage alone."""
    end_to_end: Cost
    gflop_per_frame: float
    peak: Peak
    peak_memory_bytes: int | None
    """Of this process, during the end-to-end runs; FFmpeg's is not in it."""
    peak_gpu_bytes: int | None
    against: Cost | None
    notes: tuple[str, ...]
    trace: Trace | None
    """Of one more end-to-end run."""

    @property
    def core_s(self) -> float:
        """Core-seconds of all stages together, per frame."""
        return sum(cost.core_s for cost in self.stages.values())

    @property
    def slowest_s(self) -> float:
        """Seconds per frame of the slowest stage alone; what shares a GPU's compute stream is one stage."""
        together = sum(self.stages[name].wall_s for name in ON_COMPUTE_STREAM)
        others = (cost.wall_s for name, cost in self.stages.items() if name not in ON_COMPUTE_STREAM)
        return max(together, *others)

    @property
    def bound_fps(self) -> float:
        """The most that overlap can give: on a CPU the stages share the cores, on a GPU each has its own."""
        return self.cores_bound_fps if self.device.type == "cpu" else 1 / self.slowest_s

    @property
    def cores_bound_fps(self) -> float:
        """What the cores allow, on a GPU too, where they decode and encode."""
        return self.cores / self.core_s

    @property
    def overlap_efficiency(self) -> float:
        """End-to-end frames per second over the bound."""
        return self.end_to_end.fps / self.bound_fps

    def share(self, name: str) -> float:
        """How much of the end-to-end time a stage takes: of all cores', on a GPU of its own hardware's."""
        cost = self.stages[name]
        if self.device.type == "cpu":
            return cost.core_s / (self.cores * self.end_to_end.wall_s)
        return cost.wall_s / self.end_to_end.wall_s

    @property
    def limit(self) -> str:
        """The stage that most core time goes into; on a GPU the slowest one."""
        if self.device.type == "cpu":
            return max(self.stages, key=lambda name: self.stages[name].core_s)
        seconds = {name: cost.wall_s for name, cost in self.stages.items() if name not in ON_COMPUTE_STREAM}
        seconds["convert and model"] = sum(self.stages[name].wall_s for name in ON_COMPUTE_STREAM)
        return max(seconds, key=lambda name: seconds[name])

    @property
    def model_gflop_per_s(self) -> float:
        return self.gflop_per_frame / self.stages["model"].wall_s
