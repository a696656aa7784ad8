"""How fast EDSR and SRResNet run on one core in fp32, int8 and bf16: ms of processor time, in turn.

    python samples/residual_speed.py --size 160x90 --rounds 7
    ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI python samples/residual_speed.py     # as on a processor without AMX

Weights are random, since time does not depend on them; the ranges of int8 are those that random pictures have.
"""

import argparse
import copy
import time
from collections.abc import Callable
from statistics import median

import cv2
import torch
from torch import Tensor

from vsr.engine.process import tune_process
from vsr.models.networks.edsr import EdsrNet
from vsr.models.networks.srresnet import SrResNet
from vsr.models.variants.int8 import in_int8
from vsr.models.variants.int8_residual import steps_seen

NETWORKS = {"EDSR x2": (EdsrNet, 2), "EDSR x4": (EdsrNet, 4), "SRResNet x4": (SrResNet, 4)}
CHANNELS, BLOCKS = 64, 16


def processor_ms(run: Callable[[], object]) -> float:
    began = time.thread_time()
    run()
    return 1000 * (time.thread_time() - began)


def precisions(network: EdsrNet | SrResNet, picture: Tensor) -> dict[str, Callable[[], Tensor]]:
    """The same network, run on the same picture in each way."""
    network.seen = steps_seen(network, [torch.rand(1, 3, 64, 64)])
    int8, bf16 = in_int8(copy.deepcopy(network)), copy.deepcopy(network).bfloat16()
    return {
        "fp32": lambda: network(picture),
        "int8": lambda: int8(picture),
        "bf16": lambda: bf16(picture.bfloat16()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="160x90")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    tune_process()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(0)
    picture = torch.rand(1, 3, height, width).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        for name, (network, scale) in NETWORKS.items():
            made = network(channels=CHANNELS, depth=BLOCKS, scale=scale, colors=3).eval()
            made.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] — missing in the stubs
            ways = precisions(made, picture)
            for run in ways.values():
                run()
            rounds = [{way: processor_ms(run) for way, run in ways.items()} for _ in range(given.rounds)]
            ms = {way: median(each[way] for each in rounds) for way in ways}
            told = ", ".join(f"{way} {value:.1f}" for way, value in ms.items())
            print(f"{name}: {told} ms; fp32 / int8 {ms['fp32'] / ms['int8']:.1f}", flush=True)


if __name__ == "__main__":
    main()
