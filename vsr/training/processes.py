"""Several processes that train one network, each on its own device, as PyTorch's
launcher starts them (`torchrun`)."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from vsr.errors import ConfigError

NetworkT = TypeVar("NetworkT", bound=nn.Module)


@dataclass(frozen=True)
class ProcessGroup:
    """Which of the processes this one is."""

    rank: int
    """0 for the one that writes and reports."""
    world: int
    """How many there are."""
    device: torch.device
    """This process's own."""

    def share(self, network: NetworkT, *, in_parts: bool = False) -> NetworkT:
        """Wrap a network so that a backward pass leaves the mean of all processes' gradients in each of them.

        All begin with rank 0's weights.

        Args:
            network: on the process's device.
            in_parts: a step may use some of its layers and not others, the same in every process.
        """
        if self.world == 1:
            return network
        return cast(NetworkT, DistributedDataParallel(network, find_unused_parameters=in_parts))


def rank() -> int:
    """Which of the launcher's processes this one is; 0 where there was no launcher."""
    return int(os.environ.get("RANK", 0))


@contextmanager
def process_group(device: torch.device, batch: int) -> Generator[ProcessGroup, None, None]:
    """Join the processes that the launcher started; alone where there was none.

    Args:
        device: cpu, or cuda, of which each process takes the one that is its turn on this machine.
        batch: patches that the processes share.

    Raises:
        ConfigError: the batch cannot be shared evenly, or there are fewer GPUs than processes.
    """
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world == 1:
        yield ProcessGroup(0, 1, device)
        return
    if batch % world:
        raise ConfigError(
            f"batch {batch} cannot be shared evenly by {world} processes; a multiple of {world} can"
        )
    if device.type == "cuda":
        turn = int(os.environ.get("LOCAL_RANK", 0))
        if turn >= torch.cuda.device_count():
            raise ConfigError(
                f"process {turn} has no GPU; there are {torch.cuda.device_count()}, start one for each"
            )
        device = torch.device("cuda", turn)
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", rank=rank(), world_size=world)
    try:
        yield ProcessGroup(rank(), world, device)
        distributed.barrier()  # what the first writes last is there before any of them ends
    finally:
        distributed.destroy_process_group()
