from dataclasses import replace

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import VideoReformatter
from torch import Tensor

from vsr import color
from vsr.errors import SourceError
from vsr.frames import SUBSAMPLING, Frame, PictureFormat
from vsr.picture import Picture, as_rgb, as_ycc, enlarge_chroma, from_planes, resize_picture, to_planes
from vsr.resample import Halving, resize

MATRICES = ("bt709", "bt470bg", "smpte170m", "smpte240m", "fcc", "bt2020nc")
SWS_CODES = {"bt709": 1, "smpte170m": 5, "bt2020nc": 9}


def picture_of(planes: list[np.ndarray], format: PictureFormat) -> Picture:
    bare = Frame(planes=(), format=format)
    return from_planes(bare, [torch.from_numpy(plane) for plane in planes])


def smooth_planes(format: PictureFormat, seed: int = 3) -> list[np.ndarray]:
    """Noise in the first plane, gentle colour in the others; all of it inside R'G'B' and legal."""
    rng = np.random.default_rng(seed)
    step = 1 << (format.bit_depth - 8)
    dtype = np.uint8 if format.bit_depth == 8 else np.uint16
    planes = [rng.integers(70 * step, 180 * step, format.plane_size(0)).astype(dtype)]
    for index in range(1, format.num_planes):
        height, width = format.plane_size(index)
        across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
        planes.append(np.round((128 + 14 * (across if index == 1 else down)) * step).astype(dtype))
    return planes


@pytest.mark.parametrize("layout", ["yuv420", "yuv422", "yuv444", "gray", "rgb"])
@pytest.mark.parametrize("depth", [8, 10, 12, 16])
@pytest.mark.parametrize("range", ["limited", "full"])
@pytest.mark.parametrize("size", [(12, 18), (9, 15)])
def test_every_code_value_survives_the_way_to_nominal_and_back(layout, depth, range, size):
    format = PictureFormat(*size, bit_depth=depth, layout=layout, range=range, alpha=True)
    rng = np.random.default_rng(depth)
    dtype = np.uint8 if depth == 8 else np.uint16
    planes = [rng.integers(0, 1 << depth, format.plane_size(i)).astype(dtype) for i in range_of(format)]
    planes[0].flat[:2] = 0, (1 << depth) - 1
    back = to_planes(picture_of(planes, format), format)
    for before, after in zip(planes, back, strict=True):
        np.testing.assert_array_equal(before, after.numpy())


def range_of(format: PictureFormat) -> list[int]:
    return list(range(format.num_planes))


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize("range", ["limited", "full"])
@pytest.mark.parametrize("layout", ["yuv420", "yuv422", "yuv444"])
def test_a_picture_comes_back_through_rgb_within_one_code(matrix, depth, range, layout):
    format = PictureFormat(70, 90, bit_depth=depth, layout=layout, matrix=matrix, range=range)
    planes = smooth_planes(format)
    picture = picture_of(planes, format)
    through = Picture(picture.frame, rgb=as_rgb(picture))
    back = [plane.numpy() for plane in to_planes(through, format)]
    np.testing.assert_array_equal(planes[0], back[0], err_msg="luma must be exact")
    for before, after in zip(planes[1:], back[1:], strict=True):
        assert np.abs(before.astype(int) - after.astype(int)).max() <= 1


@pytest.mark.parametrize("matrix", MATRICES)
def test_rgb_comes_back_through_ycc(matrix):
    format = PictureFormat(8, 8, matrix=matrix)
    rgb = torch.rand((2, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    luma, chroma = color.rgb_to_ycc(rgb, color.weights(format))
    assert chroma.abs().max() <= 0.5
    torch.testing.assert_close(color.ycc_to_rgb(luma, chroma, color.weights(format)), rgb, atol=1e-6, rtol=0)


KNOWN = [
    # What ITU-R BT.709, BT.601 and BT.2020 give for pure colours, limited range.
    ("bt709", 8, (1, 0, 0), (63, 102, 240)),
    ("bt709", 8, (0, 1, 0), (173, 42, 26)),
    ("bt709", 8, (0, 0, 1), (32, 240, 118)),
    ("bt709", 8, (1, 1, 1), (235, 128, 128)),
    ("bt709", 10, (1, 0, 0), (250, 409, 960)),
    ("smpte170m", 8, (1, 0, 0), (81, 90, 240)),
    ("smpte170m", 8, (0, 1, 0), (145, 54, 34)),
    ("bt470bg", 8, (0, 0, 1), (41, 240, 110)),
    ("bt2020nc", 10, (1, 0, 0), (294, 387, 960)),
    ("bt2020nc", 10, (0, 0, 0), (64, 512, 512)),
]


@pytest.mark.parametrize(("matrix", "depth", "rgb", "codes"), KNOWN)
def test_pure_colours_have_the_code_values_of_the_standard(matrix, depth, rgb, codes):
    format = PictureFormat(2, 2, bit_depth=depth, layout="yuv444", matrix=matrix)
    pixels = torch.tensor(rgb, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    planes = to_planes(Picture(Frame((), format), rgb=pixels), format)
    assert tuple(int(plane[0, 0]) for plane in planes) == codes


@pytest.mark.parametrize("matrix", list(SWS_CODES))
@pytest.mark.parametrize("range", ["limited", "full"])
def test_conversion_to_rgb_agrees_with_swscale(matrix, range):
    format = PictureFormat(48, 64, layout="yuv444", matrix=matrix, range=range)
    planes = smooth_planes(format)
    frame = av.VideoFrame.from_ndarray(np.stack(planes), format="yuv444p")
    there = VideoReformatter().reformat(
        frame, format="gbrp", src_colorspace=SWS_CODES[matrix], src_color_range=1 if range == "limited" else 2,
        dst_color_range=2, threads=1,
    )  # fmt: skip
    wanted = there.to_ndarray(format="rgb24").astype(int)
    got = (
        color.to_codes(as_rgb(picture_of(planes, format)), (0.0, 255.0), 8)[0]
        .permute(1, 2, 0)
        .numpy()
        .astype(int)
    )
    assert np.abs(got - wanted).max() <= 2


def test_an_untagged_picture_is_read_by_its_number_of_lines():
    assert color.weights(PictureFormat(576, 720)) == color.weights(PictureFormat(8, 8, matrix="smpte170m"))
    assert color.weights(PictureFormat(720, 1280)) == color.weights(PictureFormat(8, 8, matrix="bt709"))


def test_a_matrix_without_kr_and_kb_is_refused_by_name():
    with pytest.raises(SourceError, match=r"'ycgco'.*bt709"):
        color.weights(PictureFormat(8, 8, matrix="ycgco"))


# Registration: U holds the column of its sample and V the row, in luma samples of the original, over 100.

OFFSETS = {"left": (0.5, 0), "center": (0.5, 0.5), "topleft": (0, 0), "top": (0, 0.5), "bottom": (1, 0.5)}
"""Rows, columns from the first luma sample to the first chroma sample of 4:2:0, as the standards draw them."""

SITED = [("yuv420", siting) for siting in OFFSETS] + [
    ("yuv422", "left"),
    ("yuv422", "center"),
    ("yuv444", "left"),
]

TOLERANCE = 0.001
"""A tenth of a luma sample: Keys' kernel misses a line by up to 0.05 chroma samples; forgotten siting is a quarter."""


def places(format: PictureFormat, step: tuple[float, float] = (1, 1)) -> Tensor:
    """(1, 2, h, w): U and V of a picture whose samples are `step` samples of the original apart."""
    rows, columns = SUBSAMPLING[format.layout]
    first = OFFSETS[format.siting] if format.layout == "yuv420" else (0, 0)
    height, width = format.plane_size(1)
    down = (torch.arange(height) * rows + first[0] + 0.5) * step[0] - 0.5
    across = (torch.arange(width) * columns + first[1] + 0.5) * step[1] - 0.5
    return torch.stack([across.expand(height, width), down[:, None].expand(height, width)])[None] / 100


def placed(format: PictureFormat) -> Picture:
    return Picture(
        Frame((), format), luma=torch.full((1, 1, format.height, format.width), 0.5), chroma=places(format)
    )


def assert_registered(got: Tensor | None, wanted: Tensor, margin: int) -> None:
    assert got is not None
    assert got.shape == wanted.shape
    assert (got - wanted)[..., margin:-margin, margin:-margin].abs().max() < TOLERANCE


@pytest.mark.parametrize(("layout", "siting"), SITED)
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(32, 36), (33, 35)])
def test_enlarged_chroma_stays_registered_with_luma(layout, siting, scale, size):
    format = PictureFormat(*size, layout=layout, siting=siting)
    large = replace(format, height=size[0] * scale, width=size[1] * scale)
    assert_registered(enlarge_chroma(placed(format), scale), places(large, (1 / scale, 1 / scale)), 4 * scale)


@pytest.mark.parametrize(("layout", "siting"), SITED)
@pytest.mark.parametrize("size", [(48, 60), (90, 70), (20, 24), (37, 111)])
def test_final_resize_keeps_chroma_registered(layout, siting, size):
    format = PictureFormat(36, 40, layout=layout, siting=siting)
    target = replace(format, height=size[0], width=size[1])
    wanted = places(target, (36 / size[0], 40 / size[1]))
    assert_registered(resize_picture(placed(format), size).chroma, wanted, 4 if size[0] < 36 else 8)


@pytest.mark.parametrize(("layout", "siting"), SITED)
def test_chroma_is_registered_in_rgb_and_on_the_way_back(layout, siting):
    format = PictureFormat(32, 36, layout=layout, siting=siting, matrix="bt709")
    rgb = as_rgb(placed(format))
    _, full = color.rgb_to_ycc(rgb, color.weights(format))
    assert_registered(full, places(replace(format, layout="yuv444")), 6)
    _, back = as_ycc(Picture(Frame((), format), rgb=rgb))
    assert_registered(back, places(format), 4)


@pytest.mark.parametrize("depth", [8, 10, 12, 16])
def test_codes_are_rounded_to_the_nearest_and_bounded(depth):
    scale, top = (16.0 * 2 ** (depth - 8), 219.0 * 2 ** (depth - 8)), (1 << depth) - 1
    values = torch.rand(1, 2, 37, 41, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.3
    exact = values.double() * scale[1] + scale[0]
    codes = color.to_codes(values, scale, depth).to(torch.int64)
    assert (codes - exact.clamp(0, top)).abs().max() <= 0.5 + top * 1.2e-7  # of fp32
    assert {0, top} <= set(codes.flatten().tolist())
    for layout in (values.transpose(2, 3), values.expand(2, -1, -1, -1), values.bfloat16()):
        assert torch.equal(
            color.to_codes(layout, scale, depth), color.to_codes(layout.float().clone(), scale, depth)
        )


@pytest.mark.parametrize("size", [(3, 5), (33, 40), (100, 7)])
def test_bands_of_rows_are_converted_as_the_whole(size):
    rgb = torch.rand(2, 3, *size)
    in_bands = color.rgb_to_ycc(rgb, (0.2126, 0.0722))
    plain = color.rgb_to_ycc(rgb.requires_grad_(), (0.2126, 0.0722))
    for got, wanted in zip(in_bands, plain, strict=True):
        assert (got - wanted).abs().max() < 1e-6


@pytest.mark.parametrize(("layout", "siting"), [*SITED, ("yuv444", "left"), ("gray", "left")])
@pytest.mark.parametrize("depth", [8, 10, 16])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (37, 45), (66, 70)])
def test_codes_of_colours_are_what_matrix_halving_and_rounding_give(layout, siting, depth, size):
    format = PictureFormat(*size, bit_depth=depth, layout=layout, siting=siting, matrix="bt709")
    rgb = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1)) * 1.4 - 0.2
    luma, chroma = as_ycc(Picture(Frame((), format), rgb=rgb))
    wanted = to_planes(Picture(Frame((), format), luma=luma, chroma=chroma), format)
    for way in (rgb, rgb.contiguous(memory_format=torch.channels_last)):
        planes = to_planes(Picture(Frame((), format), rgb=way), format)
        assert [plane.shape for plane in planes] == [plane.shape for plane in wanted]
        for plane, exact in zip(planes, wanted, strict=True):
            apart = (plane.int() - exact.int()).abs()
            assert apart.max() <= 1  # of a value on a half
            assert (apart > 0).sum() <= 0.01 * apart.numel() + 2 * (depth == 16)


@pytest.mark.parametrize("ratio", [(2, 2), (1, 2), (2, 1)])
@pytest.mark.parametrize("shift", [(0.0, -0.5), (0.5, 0.0), (-0.5, -0.5)])
def test_some_rows_are_reduced_as_all_are(ratio, shift):
    plane = torch.rand(41, 23).numpy()
    halving = Halving(ratio, shift, "catmull-rom")
    num_rows = -(-41 // ratio[0])
    whole = halving.rows(plane, 0, num_rows)
    parts = [halving.rows(plane, top, min(top + 5, num_rows)) for top in range(0, num_rows, 5)]
    assert np.array_equal(np.concatenate(parts), whole)
    size = num_rows, -(-23 // ratio[1])
    summed = resize(
        torch.from_numpy(plane)[None, None].requires_grad_(),
        size,
        ratio=ratio,
        shift=shift,
        kernel="catmull-rom",
    )
    assert np.abs(whole - summed.detach()[0, 0].numpy()).max() < 1e-5
