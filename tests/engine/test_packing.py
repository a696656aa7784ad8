"""Networks on coded planes: what they see of any picture, and where what they give lands."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from vsr.engine.engine import Engine
from vsr.engine.packing import from_packed, to_packed
from vsr.frames import SUBSAMPLING, Frame, PictureFormat
from vsr.models import NOISE_SPAN, Damage, Model, ModelSpec, load
from vsr.models.layers.single_frame import SingleFrame
from vsr.models.networks.planes import PlanesNet, planes_facts
from vsr.options import EngineOptions
from vsr.picture import from_planes

LAYOUTS = ("yuv420", "yuv422", "yuv444", "gray", "rgb")


class Echo(SingleFrame):
    """Gives back a part of what it sees, so that the result is the picture with that added once more."""

    def __init__(self, share: float, told: int | None = None):
        super().__init__()
        self.share, self.told = share, told
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(tuple(x.shape))
        source = x[:, :6] if self.told is None else x[:, 6 + self.told, None].expand(-1, 6, -1, -1)
        return source * self.share


def spec(scale: int = 1, **facts: object) -> ModelSpec:
    return ModelSpec("probe", scale, in_channels=8, residual="bicubic", size_multiple=2, **facts)  # type: ignore[arg-type]


def ramps(layout: str, height: int, width: int, depth: int = 8, siting: str = "left") -> Frame:
    """Planes that rise evenly, which every resampling that keeps its place leaves as they are."""
    format = PictureFormat(
        height,
        width,
        layout=layout,
        bit_depth=depth,
        siting=siting,
        matrix="gbr" if layout == "rgb" else "bt709",
        range="full",
    )  # type: ignore[arg-type]
    planes = []
    for index in range(format.num_planes):
        h, w = format.plane_size(index)
        rows, columns = SUBSAMPLING[format.layout] if index else (1, 1)
        y, x = np.mgrid[:h, :w]
        codes = (70 + index * 9 + y * rows * 0.5 + x * columns * 0.25) * (1 << (depth - 8))
        planes.append(codes.round().astype(np.uint8 if depth == 8 else np.uint16))
    return Frame(tuple(planes), format)


def enhanced(model: Model, *frames: Frame, **options: object) -> list[Frame]:
    wanted = EngineOptions(**({"device": "cpu", "precision": "fp32", "threads": 1} | options))  # type: ignore[arg-type]
    return list(Engine([model], wanted).run(iter(frames)))


def test_unpack_is_the_inverse_of_pack():
    luma, chroma = torch.rand(2, 1, 6, 8), torch.rand(2, 2, 3, 4)
    packed = to_packed(luma, chroma)
    assert packed.shape == (2, 6, 3, 4)
    assert torch.equal(packed[0, 1], luma[0, 0, 0::2, 1::2])
    assert all(torch.equal(a, b) for a, b in zip(from_packed(packed), (luma, chroma), strict=True))


@pytest.mark.parametrize(
    ("layout", "scale", "size", "depth"), [*product(LAYOUTS, (1, 2, 3), ((12, 16), (7, 9)), (8, 10))]
)
def test_a_blank_network_gives_the_plain_enlargement(
    layout: str, scale: int, size: tuple[int, int], depth: int
):
    blank = PlanesNet(channels=4, deep=4, depth=(0, 1, 0), scales=(1, 2, 3), scale=scale)
    frame = ramps(layout, *size, depth)
    (given,) = enhanced(Model(spec(scale), blank.eval()), frame)
    (plain,) = enhanced(load(f"bicubic-x{scale}" if scale > 1 else "identity"), frame)
    assert given.format == plain.format
    for ours, theirs in zip(given.planes, plain.planes, strict=True):
        # RGB goes over luma and chroma, whose bicubic interpolations differ; all else is the same arithmetic.
        assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= (
            2 << (depth - 8) if layout == "rgb" else 0
        )


@pytest.mark.parametrize(
    ("layout", "siting"), [*product(LAYOUTS, ["left"]), ("yuv420", "center"), ("yuv420", "topleft")]
)
@pytest.mark.parametrize("size", [(40, 48), (41, 47)])
def test_what_a_network_adds_lands_where_it_was_seen(layout: str, siting: str, size: tuple[int, int]):
    frame = ramps(layout, *size, siting=siting)
    (twice,) = enhanced(Model(spec(), Echo(0.25)), frame)
    middle = slice(8, -8)  # what lies outside is guessed where chroma is resampled
    for index, (given, seen) in enumerate(zip(twice.planes, frame.planes, strict=True)):
        none = 0 if layout == "rgb" or not index else 128
        wanted = none + (seen.astype(float) - none) * 1.25
        part = (middle, middle) if index or layout == "rgb" else (slice(None), slice(None))
        assert np.abs(given - wanted)[part].max() <= 1.6, (layout, index)


@pytest.mark.parametrize("told", [0, 1])
def test_a_network_is_told_the_damage(told: int):
    damage = Damage(noise=0.2 * NOISE_SPAN, compression=0.3)
    frame = ramps("yuv420", 8, 12)
    (given,) = enhanced(Model(spec(damage=damage), Echo(1.0, told)), frame)
    assert np.abs(given.planes[0] - frame.planes[0].astype(float) - 255 * (0.2, 0.3)[told]).max() <= 1


def test_a_stream_may_be_told_its_own_damage_between_pictures():
    stage = Engine([Model(spec(), Echo(1.0, 0))], EngineOptions(device="cpu", precision="fp32")).stages[0]
    stream, frame = stage.begin_stream(), ramps("yuv420", 8, 8)
    planes = [torch.from_numpy(plane) for plane in frame.planes]
    first = stream.input(from_planes(frame, list(planes), content=0)).tensor
    stream.damage = Damage(noise=NOISE_SPAN, compression=0.5)
    second = stream.input(from_planes(frame, list(planes), content=1)).tensor
    assert (first[6:].max(), second[6].min(), second[7].min()) == (0, 1, 0.5)
    assert torch.equal(first[:6], second[:6])


def trained_like(scale: int) -> Model:
    """A network with random weights, tails too."""
    torch.manual_seed(3)
    network = PlanesNet(channels=4, deep=6, depth=(1, 1, 1), scales=(1, 2), scale=scale)
    for tail in network.tails.values():
        torch.nn.init.normal_(tail.weight, std=0.02)  # type: ignore[arg-type]
    facts = planes_facts(network, 8)
    return Model(replace(spec(scale), **facts), network.eval())


@pytest.mark.parametrize(("layout", "size"), [("yuv420", (70, 90)), ("rgb", (67, 81))])
def test_tiles_equal_the_whole(layout: str, size: tuple[int, int]):
    model, frame = trained_like(2), ramps(layout, *size)
    (whole,), (tiled,) = enhanced(model, frame), enhanced(model, frame, tile=32)
    differ = [
        np.abs(a.astype(int) - b.astype(int)).max() for a, b in zip(whole.planes, tiled.planes, strict=True)
    ]
    assert max(differ) <= 1


def test_what_did_not_change_is_not_computed_again():
    model = trained_like(1)
    still = ramps("yuv420", 400, 400)
    luma = still.planes[0].copy()
    luma[40:60, 40:60] += 30
    moved = replace(still, planes=(luma, *still.planes[1:]), pts=1)
    skipped = Engine([model], EngineOptions(device="cpu", precision="fp32", threads=1, skip_static="on"))
    parts = list(skipped.run(iter((still, moved))))
    whole = enhanced(model, still, moved)
    assert skipped.share_skipped > 0.1
    for a, b in zip(parts, whole, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))
