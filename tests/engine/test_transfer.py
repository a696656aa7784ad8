"""What of the way to a device and back needs no device: packing, and when a download is waited for."""

import numpy as np
import pytest
import torch
from torch import Tensor

from vsr.engine.engine import Engine
from vsr.engine.transfer import CpuTransfer, Pending, pack, transfer_for, unpack
from vsr.frames import Frame, PictureFormat, Plane
from vsr.models.spec import Context, Model, ModelSpec
from vsr.options import EngineOptions

FORMATS = [
    PictureFormat(15, 21, 8, "yuv420"),
    PictureFormat(15, 21, 10, "yuv420"),
    PictureFormat(7, 9, 16, "rgb", alpha=True),
    PictureFormat(5, 3, 8, "gray"),
]


@pytest.mark.parametrize("format", FORMATS, ids=str)
@pytest.mark.parametrize("how", ["plain", "read-only", "mirrored", "columns apart"])
def test_planes_packed_into_one_buffer_come_out_as_they_were(format, how):
    rng = np.random.default_rng(1)
    dtype = np.uint8 if format.bit_depth == 8 else np.uint16
    sizes = [format.plane_size(i) for i in range(format.num_planes)]
    planes = [rng.integers(0, 1 << format.bit_depth, (h, 2 * w)).astype(dtype) for h, w in sizes]
    if how == "columns apart":
        planes = [plane[:, ::2] for plane in planes]
    else:
        planes = [plane[:, : plane.shape[1] // 2] for plane in planes]
    if how == "mirrored":
        planes = [plane[::-1, ::-1] for plane in planes]
    if how == "read-only":
        for plane in planes:
            plane.setflags(write=False)
    packed = torch.empty(sum(plane.nbytes for plane in planes), dtype=torch.uint8)
    pack(tuple(planes), packed.numpy())
    for got, wanted in zip(unpack(packed, tuple(planes)), planes, strict=True):
        assert got.is_contiguous()
        np.testing.assert_array_equal(got.numpy(), wanted)
        assert got.numpy().dtype == wanted.dtype


class Slow(CpuTransfer):
    """A transfer whose downloads end when they are waited for; writes down what happens."""

    def __init__(self, depth: int):
        self.depth = depth
        self.log: list[str] = []

    def download(self, planes: list[Tensor]) -> Pending:
        number = int(planes[0][0, 0])
        self.log.append(f"begin {number}")

        def wait() -> tuple[Plane, ...]:
            self.log.append(f"wait {number}")
            return tuple(plane.numpy() for plane in planes)

        return wait


class Same:
    def init_state(self, batch: int, height: int, width: int) -> None:
        return None

    def step(self, frames: Tensor, state: object, reset: Tensor) -> tuple[Tensor, None]:
        return frames, None


def frames_of(count: int) -> list[Frame]:
    format = PictureFormat(4, 4, layout="gray")
    return [Frame((np.full((4, 4), n, np.uint8),), format, pts=n) for n in range(count)]


@pytest.mark.parametrize("batch", [1, 4])
def test_a_batch_is_handed_to_the_device_before_the_one_before_it_is_waited_for(batch):
    model = Model(ModelSpec("same", scale=1, context=Context()), Same())
    options = EngineOptions(device="cpu", precision="fp32", threads=1, batch=batch)
    engine = Engine([model], options)
    assert engine.stages[0].at_once == batch
    slow = engine.transfer = Slow(depth=batch + 1)
    out = list(engine.run(frames_of(12)))
    assert [int(frame.planes[0][0, 0]) for frame in out] == list(range(12))
    assert [frame.pts for frame in out] == list(range(12))
    for number in range(12):
        begun = slow.log[: slow.log.index(f"wait {number}")]
        assert f"begin {min(number + batch, 11)}" in begun
        assert f"begin {number + batch + 2}" not in begun  # and not many more, or memory would grow


def test_a_cpu_waits_for_nothing():
    assert transfer_for(torch.device("cpu"), at_once=4).depth == 0


def test_a_repeated_frame_shares_the_download_of_the_first():
    engine = Engine([], EngineOptions(device="cpu", threads=1))
    slow = engine.transfer = Slow(depth=2)
    frames = frames_of(2)
    out = list(engine.run([frames[0], frames[0], frames[0], frames[1]]))
    assert [int(frame.planes[0][0, 0]) for frame in out] == [0, 0, 0, 1]
    assert [line for line in slow.log if line.startswith("begin")] == ["begin 0", "begin 1"]
