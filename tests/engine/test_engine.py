import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from torch import Tensor

from vsr.engine.device import can_bf16
from vsr.engine.engine import Engine
from vsr.errors import ConfigError, ModelError, SourceError
from vsr.frames import Frame, PictureFormat
from vsr.models import load
from vsr.models.spec import Context, Model, ModelSpec
from vsr.options import EngineOptions

GRAY = PictureFormat(6, 8, layout="gray", bit_depth=16, range="full")


def cpu(**options: object) -> EngineOptions:
    return EngineOptions(**({"device": "cpu", "precision": "fp32", "threads": 1} | options))  # type: ignore[arg-type]


def frame_of(value: int, *, pts: int = 0, reset: bool = False, format: PictureFormat = GRAY) -> Frame:
    planes = tuple(np.full(format.plane_size(i), value, np.uint16) for i in range(format.num_planes))
    return Frame(planes, format, pts=pts, time_base=Fraction(1, 90_000), duration=pts % 7, reset=reset)


def numbered(count: int, resets: Sequence[int] = ()) -> list[Frame]:
    """Frames whose value is 100 times their number, at uneven times."""
    return [frame_of(100 * n, pts=n * n * 31 + 5, reset=n in resets) for n in range(count)]


def values(frames: Sequence[Frame]) -> list[float]:
    assert all((frame.planes[0] == frame.planes[0][0, 0]).all() for frame in frames)
    return [int(frame.planes[0][0, 0]) / 100 for frame in frames]


class Weighted:
    """Each of the `emit` frames becomes a weighted sum of its own neighbours: 1, 2, 4, ... from the earliest on.

    The weights make every neighbour's place show in the result.
    """

    def __init__(self, context: Context):
        self.context = context
        self.batches: list[int] = []

    def init_state(self, batch: int, height: int, width: int) -> None:
        return None

    def step(self, frames: Tensor, state: object, reset: Tensor) -> tuple[Tensor, None]:
        self.batches.append(frames.shape[0])
        span = self.context.before + 1 + self.context.after
        assert frames.shape[1] == span + self.context.emit - 1
        weights = torch.tensor([float(1 << i) for i in range(span)], device=frames.device) / ((1 << span) - 1)
        each = [
            (frames[:, i : i + span] * weights.view(1, -1, 1, 1, 1)).sum(1) for i in range(self.context.emit)
        ]
        return torch.stack(each, 1), None


def weighted(before: int = 2, after: int = 2, emit: int = 1) -> Model:
    context = Context(before=before, after=after, emit=emit)
    return Model(ModelSpec("weighted", scale=1, context=context), Weighted(context))


def expected(count: int, resets: Sequence[int], before: int, after: int, emit: int) -> list[float]:
    """Computed from the frame numbers alone: neighbours repeat at the ends of a scene, and of a group's window."""
    bounds = [*sorted({0, *resets}), count]
    out: list[float] = []
    for low, high in pairwise(bounds):
        for n in range(low, high):
            neighbours = [min(max(n + d, low), high - 1) for d in range(-before, after + 1)]
            out.append(sum(k << i for i, k in enumerate(neighbours)) / ((1 << len(neighbours)) - 1))
    return out


@pytest.mark.parametrize(
    ("before", "after", "emit"), [(2, 2, 1), (0, 0, 1), (1, 0, 1), (0, 3, 2), (2, 2, 3), (0, 0, 4)]
)
@pytest.mark.parametrize("batch", [1, 3])
def test_windows_hold_the_neighbours_and_never_cross_a_scene(before, after, emit, batch):
    for count, beginnings in product(range(8), [(), (3,), (1, 2), (6,)]):
        resets = tuple(n for n in beginnings if n < count)
        frames = numbered(count, resets)
        out = list(Engine([weighted(before, after, emit)], cpu(batch=batch)).run(frames))
        wanted = expected(count, resets, before, after, emit) if count else []
        # 16-bit codes of 100 a frame: half a code is 0.005 of a frame number.
        assert values(out) == pytest.approx(wanted, abs=0.006), (count, resets)
        assert [(f.pts, f.time_base, f.duration, f.reset) for f in out] == [
            (f.pts, f.time_base, f.duration, f.reset) for f in frames
        ], (count, resets)


def test_a_chain_of_windowed_models_keeps_every_frame():
    frames = numbered(9, (4,))
    out = list(Engine([weighted(1, 1), weighted(0, 2, 2)], cpu(batch=2)).run(frames))
    assert [f.pts for f in out] == [f.pts for f in frames]
    scene = expected(4, (), 1, 1, 1)
    first = [scene[min(n + d, 3)] for n in range(4) for d in range(3)]
    wanted = [(a + 2 * b + 4 * c) / 7 for a, b, c in zip(first[::3], first[1::3], first[2::3], strict=True)]
    assert values(out)[:4] == pytest.approx(wanted, abs=0.02)


def test_batches_are_as_large_as_asked_and_the_last_one_as_large_as_is_left():
    model = weighted()
    list(Engine([model], cpu(batch=3)).run(numbered(8)))
    assert model.network.batches == [3, 3, 2]  # type: ignore[attr-defined]


def test_latency_is_what_the_context_says():
    taken: list[int] = []

    def source() -> Iterator[Frame]:
        for n, frame in enumerate(numbered(10)):
            taken.append(n)
            yield frame

    out = Engine([weighted(2, 3, 2)], cpu()).run(source())
    next(out)
    assert taken[-1] == Context(before=2, after=3, emit=2).latency
    out.close()


class Counter:
    """Adds the number of steps since the last reset; keeps it in its state."""

    def init_state(self, batch: int, height: int, width: int) -> Tensor:
        return torch.zeros(batch, 1, height, width)

    def step(self, frames: Tensor, state: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.where(reset.view(-1, 1, 1, 1), torch.zeros_like(state), state) + 1
        return frames + state[:, None] * (100 / 65535), state


def counter() -> Model:
    return Model(ModelSpec("counter", scale=1, context=Context(stateful=True)), Counter())


def test_a_state_goes_from_frame_to_frame_and_is_cleared_at_a_scene():
    out = list(Engine([counter()], cpu(batch=4)).run(numbered(7, (3, 5))))
    assert values(out) == pytest.approx([0 + 1, 1 + 2, 2 + 3, 3 + 1, 4 + 2, 5 + 1, 6 + 2], abs=0.006)


def test_a_second_stream_of_another_size_begins_with_a_state_of_its_own():
    engine = Engine([counter()], cpu())
    list(engine.run(numbered(3)))
    other = PictureFormat(10, 4, layout="gray", bit_depth=16, range="full")
    assert values(list(engine.run([frame_of(0, format=other), frame_of(0, format=other)]))) == pytest.approx(
        [1, 2]
    )


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("make", [weighted, counter])
def test_pictures_of_several_sizes_pass_in_one_stream(batch, make):
    sizes = [(6, 8), (6, 8), (9, 5), (6, 8), (20, 30), (20, 30)]
    formats = [PictureFormat(*size, layout="gray", bit_depth=16, range="full") for size in sizes]
    frames = [frame_of(700, pts=n, format=format) for n, format in enumerate(formats)]
    out = list(Engine([make()], cpu(batch=batch)).run(frames))
    assert [f.planes[0].shape for f in out] == sizes
    counts = [1, 2, 1, 1, 1, 2] if make is counter else [0] * 6
    assert values(out) == pytest.approx([7 + n for n in counts], abs=0.006)


@pytest.mark.parametrize("name", ["fast-x2", "bicubic-x3", "identity"])
def test_any_batch_gives_what_one_at_a_time_gives(name):
    rng = np.random.default_rng(2)
    format = PictureFormat(18, 26, matrix="bt709")
    frames = [
        Frame(
            tuple(rng.integers(16, 236, format.plane_size(i)).astype(np.uint8) for i in range(3)),
            format,
            pts=n,
        )
        for n in range(5)
    ]
    one, four = (list(Engine([load(name)], cpu(batch=batch)).run(frames)) for batch in (1, 4))
    for a, b in zip(one, four, strict=True):
        assert a.pts == b.pts
        assert all(
            np.abs(p.astype(int) - q.astype(int)).max() <= 1 for p, q in zip(a.planes, b.planes, strict=True)
        )


class Cramped:
    """Doubles every pixel, and has memory for a number of input pixels alone."""

    def __init__(self, most: int, error: Exception | None = None):
        self.most, self.error = (
            most,
            error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB"),
        )

    def init_state(self, batch: int, height: int, width: int) -> None:
        return None

    def step(self, frames: Tensor, state: object, reset: Tensor) -> tuple[Tensor, None]:
        b, _, _, h, w = frames.shape
        if b * h * w > self.most:
            raise self.error
        return frames.repeat_interleave(2, 3).repeat_interleave(2, 4), None


def cramped(most: int, error: Exception | None = None, **spec: object) -> Model:
    facts = ModelSpec("cramped", **({"scale": 2, "halo": 4} | spec))  # type: ignore[arg-type]
    return Model(facts, Cramped(most, error))


def gradient(height: int, width: int, count: int) -> list[Frame]:
    format = PictureFormat(height, width, layout="gray", bit_depth=16, range="full")
    rng = np.random.default_rng(5)
    return [
        Frame((rng.integers(0, 65536, (height, width)).astype(np.uint16),), format, pts=n)
        for n in range(count)
    ]


def doubled(frames: Sequence[Frame]) -> list[np.ndarray]:
    return [frame.planes[0].repeat(2, 0).repeat(2, 1) for frame in frames]


@pytest.mark.parametrize(
    "error",
    [
        None,
        RuntimeError("[enforce fail at alloc_cpu.cpp:116] . DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: out of memory"),
    ],
    ids=str,
)
def test_out_of_memory_shrinks_the_batch_then_the_tile_and_loses_nothing(error):
    frames = gradient(300, 260, 6)
    engine = Engine([cramped(100 * 100, error)], cpu(batch=4))
    out = list(engine.run(frames))
    for got, wanted in zip(out, doubled(frames), strict=True):
        np.testing.assert_array_equal(got.planes[0], wanted)
    assert [note.split(": ", 1)[1] for note in engine.notes] == [
        "out of memory, batch reduced to 2",
        "out of memory, batch reduced to 1",
        "out of memory, tiles of 150 pixels from here on",
        "out of memory, tiles of 75 pixels from here on",
    ]


def test_a_shrunk_batch_is_enough_where_it_is_enough():
    frames = gradient(20, 30, 7)
    engine = Engine([cramped(2 * 20 * 30)], cpu(batch=5))
    for got, wanted in zip(engine.run(frames), doubled(frames), strict=True):
        np.testing.assert_array_equal(got.planes[0], wanted)
    assert len(engine.notes) == 1


def test_a_tile_larger_than_the_picture_shrinks_from_the_picture():
    engine = Engine([cramped(110 * 110)], cpu(tile=4096))
    list(engine.run(gradient(200, 200, 1)))
    assert engine.notes == ["cramped: out of memory, tiles of 100 pixels from here on"]


class Failing(Counter):
    """Has no memory left in some of its steps, counted from 1."""

    def __init__(self, *failing: int):
        self.failing, self.num_steps = failing, 0

    def step(self, frames: Tensor, state: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
        self.num_steps += 1
        if self.num_steps in self.failing:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")
        return super().step(frames, state, reset)


@pytest.mark.parametrize(
    ("failing", "counted"),
    [
        ((), [1, 2, 3, 4]),
        (
            (4,),
            [1, 2, 3, 4],
        ),  # the second frame's second tile, then again from its first one: no tile steps twice
        ((4, 6), [1, 1, 2, 3]),  # that too: smaller tiles, which remember nothing
    ],
)
def test_each_tile_has_a_state_that_steps_once_a_frame(failing, counted):
    facts = ModelSpec("failing", scale=1, halo=None, context=Context(stateful=True))
    engine = Engine([Model(facts, Failing(*failing))], cpu(tile=128))
    frames = gradient(100, 200, 4)
    outs = [
        out.planes[0].astype(int) - frame.planes[0]
        for out, frame in zip(engine.run(frames), frames, strict=True)
    ]
    inside = [out[frame.planes[0] < 65000] for out, frame in zip(outs, frames, strict=True)]
    assert [np.unique(np.round(part / 100)).tolist() for part in inside] == [[number] for number in counted]


@pytest.mark.parametrize(
    ("options", "spec"), [({}, {}), ({"tile": "off"}, {}), ({}, {"context": Context(stateful=True)})]
)
def test_memory_that_suffices_for_nothing_is_a_model_error_that_says_what_to_do(options, spec):
    engine = Engine([cramped(10, **spec)], cpu(**options))
    with pytest.raises(ModelError, match=r"cramped.*200x180.*smaller model"):
        list(engine.run(gradient(180, 200, 2)))


def test_other_errors_of_a_network_come_through_as_they_are():
    engine = Engine([cramped(10, RuntimeError("shapes differ"))], cpu())
    with pytest.raises(RuntimeError, match="shapes differ"):
        list(engine.run(gradient(180, 200, 2)))


class Nothing:
    """Gives back what it sees, and refuses what its spec would not allow."""

    def __init__(self, *, multiple: int = 1, peak: float = 1.0):
        self.multiple, self.peak = multiple, peak

    def init_state(self, batch: int, height: int, width: int) -> None:
        return None

    def step(self, frames: Tensor, state: object, reset: Tensor) -> tuple[Tensor, None]:
        assert frames.shape[3] % self.multiple == 0
        assert frames.shape[4] % self.multiple == 0
        assert frames.max() > self.peak / 2
        assert frames.max() <= self.peak * 1.1
        return frames, None


def some_frame(format: PictureFormat, *, smooth: bool = False, seed: int = 1) -> Frame:
    """All code values, or noise in luma and gentle colour."""
    rng = np.random.default_rng(seed)
    dtype, step = (np.uint8 if format.bit_depth == 8 else np.uint16), 1 << (format.bit_depth - 8)
    planes = [rng.integers(0, 256 * step, format.plane_size(i)) for i in range(format.num_planes)]
    if smooth:
        planes[0] = rng.integers(70 * step, 180 * step, format.plane_size(0))
        for i in (1, 2):
            height, width = format.plane_size(i)
            down, across = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
            planes[i] = np.round((128 + 4 * (down if i == 1 else across)) * step)
    return Frame(tuple(plane.astype(dtype) for plane in planes), format, pts=3)


FORMATS = [
    PictureFormat(15, 21, 8, "yuv420", matrix="bt709"),
    PictureFormat(15, 21, 8, "yuv420", matrix="bt709", range="full"),
    PictureFormat(14, 22, 10, "yuv422", matrix="bt2020nc"),
    PictureFormat(14, 22, 8, "yuv444", matrix="smpte170m"),
    PictureFormat(14, 22, 12, "yuv444", matrix="bt709", range="full"),
    PictureFormat(14, 22, 8, "gray"),
    PictureFormat(14, 22, 16, "gray", range="full"),
    PictureFormat(14, 22, 8, "rgb", matrix="gbr", range="full"),
    PictureFormat(14, 22, 16, "rgb", matrix="gbr", range="full"),
    PictureFormat(14, 22, 8, "rgb", alpha=True, matrix="gbr", range="full"),
    PictureFormat(15, 21, 10, "yuv420", alpha=True, matrix="bt709"),
    PictureFormat(14, 22, 16, "gray", alpha=True, range="full"),
    PictureFormat(14, 22, 8, "yuv444", matrix="ycgco", range="full"),
]


def assert_equal(got: Frame, wanted: Frame, *, within: int = 0) -> None:
    assert got.format == wanted.format
    assert len(got.planes) == len(wanted.planes)
    for a, b in zip(got.planes, wanted.planes, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert np.abs(a.astype(int) - b.astype(int)).max() <= within


@pytest.mark.parametrize("format", FORMATS, ids=str)
@pytest.mark.parametrize("chain", [[], ["identity"], ["identity", "identity"]])
def test_luma_networks_that_change_nothing_change_no_bit(format, chain):
    if format.layout == "rgb" and chain:
        pytest.skip("luma of RGB is through the matrix: the next test")
    frame = some_frame(format)
    (out,) = Engine([load(name) for name in chain], cpu()).run([frame])
    assert_equal(out, frame)
    assert out.pts == 3


@pytest.mark.parametrize("format", [f for f in FORMATS if f.layout == "rgb"], ids=str)
def test_luma_networks_that_change_nothing_keep_rgb(format):
    frame = some_frame(format)
    (out,) = Engine([load("identity")], cpu()).run([frame])
    assert_equal(out, frame)


@pytest.mark.parametrize("format", [f for f in FORMATS if f.matrix != "ycgco"], ids=str)
def test_rgb_networks_that_change_nothing_stay_within_one_code(format):
    frame = some_frame(format, smooth=format.layout.startswith("yuv"))
    model = Model(ModelSpec("nothing", scale=1, in_channels=3), Nothing())
    (out,) = Engine([model], cpu()).run([frame])
    assert_equal(out, frame, within=1)


@pytest.mark.parametrize("multiple", [4, 16])
@pytest.mark.parametrize("tile", ["off", 16])
def test_pictures_are_padded_to_the_multiple_and_cropped_again(multiple, tile):
    model = Model(ModelSpec("nothing", scale=1, halo=3, size_multiple=multiple), Nothing(multiple=multiple))
    for size in [(17, 33), (16, 16), (1, 1), (50, 61)]:
        frame = some_frame(PictureFormat(*size, bit_depth=16, layout="gray", range="full"))
        frame.planes[0].flat[0] = 65535
        frame = Frame((np.maximum(frame.planes[0], 40_000),), frame.format, pts=3)
        (out,) = Engine([model], cpu(tile=tile)).run([frame])
        assert_equal(out, frame)


def test_a_network_of_0_to_255_sees_0_to_255():
    frame = some_frame(PictureFormat(14, 22, 10, "yuv420", matrix="bt709"))
    model = Model(ModelSpec("nothing", scale=1, value_range=255), Nothing(peak=255))
    (out,) = Engine([model], cpu()).run([frame])
    assert_equal(out, frame)


@pytest.mark.parametrize("size", [(30, 44), (29, 43), (100, 20), (7, 9), (15, 21)])
@pytest.mark.parametrize("format", FORMATS[:3] + FORMATS[5:11:2], ids=str)
@pytest.mark.parametrize("chain", [[], ["bicubic-x2"]])
def test_the_final_size_is_the_one_asked_for(size, format, chain):
    engine = Engine([load(name) for name in chain], cpu(), size=size)
    (out,) = engine.run([some_frame(format)])
    assert out.format == engine.output_format(format)
    assert (out.format.height, out.format.width) == size
    assert [plane.shape for plane in out.planes] == [
        out.format.plane_size(i) for i in range(out.format.num_planes)
    ]


@pytest.mark.parametrize("name", ["identity", "bicubic-x2", "fast-x2"])
def test_planes_that_cannot_be_written_are_read_all_the_same_and_stay_as_they_are(name):
    frame = some_frame(PictureFormat(14, 22, matrix="bt709"))
    before = [plane.copy() for plane in frame.planes]
    mirrored = Frame(tuple(plane[::-1, ::-1] for plane in frame.planes), frame.format)
    for plane in frame.planes:
        plane.setflags(write=False)
    list(Engine([load(name)], cpu()).run([frame, mirrored]))
    for plane, copy in zip(frame.planes, before, strict=True):
        np.testing.assert_array_equal(plane, copy)


def test_output_keeps_everything_of_the_format_but_its_size():
    colors = {"matrix": "bt2020nc", "primaries": "bt2020", "transfer": "smpte2084", "siting": "topleft"}
    rest = {"bit_depth": 10, "sample_aspect": Fraction(4, 3), **colors}
    (out,) = Engine([load("bicubic-x2")], cpu()).run([some_frame(PictureFormat(16, 16, **rest))])
    assert out.format == PictureFormat(32, 32, **rest)


def test_a_device_that_is_not_there_is_refused_with_what_is():
    with pytest.raises(ConfigError, match=r"'cuda:99' is not on this machine; there is cpu"):
        Engine([load("identity")], EngineOptions(device="cuda:99"))


def test_a_precision_that_does_not_suit_the_model_is_refused_with_what_does():
    with pytest.raises(ConfigError, match="precision bf16 does not suit this model; fp32"):
        Engine([load("identity")], EngineOptions(device="cpu", precision="bf16"))


@pytest.mark.skipif(can_bf16(), reason="this processor runs bf16")
def test_bf16_is_refused_where_the_processor_does_not_run_it_with_what_does():
    with pytest.raises(ConfigError, match="precision bf16 does not run on this processor; auto and fp32 do"):
        Engine([load("nano-x2")], EngineOptions(device="cpu", precision="bf16"))
    Engine([load("nano-x2")], EngineOptions(device="cpu", precision="auto"))


def test_the_input_is_closed_in_the_engines_thread_when_a_network_fails():
    closed = []

    def source() -> Iterator[Frame]:
        try:
            yield from gradient(180, 200, 5)
        finally:
            closed.append(True)

    with pytest.raises(ModelError) as caught:
        list(Engine([cramped(10)], cpu()).run(source()))
    assert closed
    del caught  # until here its traceback has kept every suspended generator alive


def test_the_input_is_closed_when_the_consumer_stops():
    closed = []

    def source() -> Iterator[Frame]:
        try:
            yield from numbered(5)
        finally:
            closed.append(True)

    out = Engine([weighted()], cpu()).run(source())
    next(out)
    out.close()
    assert closed


# On a GPU


@pytest.mark.gpu
@pytest.mark.parametrize("format", FORMATS[:11], ids=str)
def test_planes_come_back_from_a_gpu_bit_for_bit(cuda, format):
    frames = [some_frame(format, seed=seed) for seed in range(12)]
    out = list(Engine([], EngineOptions(device=cuda)).run(frames))
    assert len(out) == len(frames)
    for got, wanted in zip(out, frames, strict=True):
        assert_equal(got, wanted)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["fast-x2", "bicubic-x4", "lanczos-x3"])
def test_a_gpu_gives_what_the_cpu_gives(cuda, name):
    format = PictureFormat(270, 480, matrix="bt709")
    frames = [some_frame(format, seed=seed) for seed in range(9)]
    there = list(Engine([load(name)], EngineOptions(device=cuda, precision="fp32", batch=4)).run(frames))
    here = list(Engine([load(name)], cpu()).run(frames))
    for got, wanted in zip(there, here, strict=True):
        assert_equal(got, wanted, within=1)


@pytest.mark.gpu
def test_many_frames_in_flight_on_a_gpu_never_mix(cuda):
    frames = numbered(600)
    out = list(Engine([weighted()], EngineOptions(device=cuda, precision="fp32", batch=4)).run(frames[:600]))
    assert values(out) == pytest.approx(expected(600, (), 2, 2, 1), abs=0.02)


EIGHT = PictureFormat(6, 8, layout="gray")


@pytest.mark.parametrize(
    ("planes", "format", "said"),
    [
        ((np.zeros((6, 8), np.float32),), EIGHT, "has planes float32 6x8; uint8 6x8 are accepted"),
        ((np.zeros((6, 8), ">u2"),), GRAY, "has planes >u2 6x8; uint16 6x8"),
        ((np.zeros((6, 8), np.uint8),), GRAY, "has planes uint8 6x8; uint16 6x8"),
        ((np.zeros((8, 6), np.uint8),), EIGHT, "has planes uint8 8x6; uint8 6x8"),
        ((np.zeros((6, 8), np.uint8),), PictureFormat(6, 8), "; uint8 6x8, uint8 3x4, uint8 3x4 are"),
        ((), EIGHT, "has planes none"),
        ((np.zeros((0, 8), np.uint8),), PictureFormat(0, 8, layout="gray"), "of one pixel at least"),
    ],
)
def test_planes_that_are_not_what_the_format_says_are_refused(planes, format, said):
    with pytest.raises(SourceError, match=re.escape(said)):
        list(Engine([], cpu()).run([Frame(planes, format)]))
