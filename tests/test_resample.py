from itertools import product
from pathlib import Path

import cv2
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vsr.resample import enlarge, pixel_shuffle, reduce, repeat, resize


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def ramp(length: int) -> Tensor:
    """(1, 1, length, length): the position of each column, in samples."""
    return (torch.arange(length) + 0.5).expand(1, 1, length, length).contiguous()


def sinc_sum(signal: Tensor, position: float) -> float:
    """Lanczos-3 interpolation written out: a sum over the six samples around `position`, edges repeated."""
    total = weight = 0.0
    for tap in range(int(position) - 4, int(position) + 6):
        x = torch.tensor(position - tap, dtype=torch.float64)
        if abs(x) < 3:
            w = float(torch.sinc(x) * torch.sinc(x / 3))
            total += w * float(signal[min(max(tap, 0), len(signal) - 1)])
            weight += w
    return total / weight


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 2), (9, 16), (33, 20)])
def test_bicubic_enlargement_is_the_one_of_pytorch(scale, size):
    x = noise(2, 3, *size)
    wanted = F.interpolate(x, scale_factor=scale, mode="bicubic", align_corners=False)
    torch.testing.assert_close(enlarge(x, scale), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_lanczos_enlargement_is_the_sum_over_six_samples(scale):
    row = noise(12)
    got = enlarge(row.expand(1, 1, 12, 12).contiguous(), scale, kernel="lanczos")[0, 0, 6 * scale]
    for i in range(12 * scale):
        assert got[i].item() == pytest.approx(sinc_sum(row, (i + 0.5) / scale - 0.5), abs=2e-6)


@pytest.mark.parametrize("kernel", ["bicubic", "lanczos"])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.25, 0.0), (0.0, -0.25), (0.375, -0.5), (-0.75, 0.5)])
def test_resize_equals_enlarge_for_whole_factors(kernel, scale, shift):
    x = noise(1, 2, 11, 14)
    whole = resize(x, (11 * scale, 14 * scale), shift=shift, kernel=kernel)
    torch.testing.assert_close(enlarge(x, scale, shift=shift, kernel=kernel), whole, atol=2e-6, rtol=0)


@pytest.mark.parametrize("shift", [-0.75, -0.5, -0.25, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_shift_moves_the_grid_that_is_read(shift, scale):
    got = enlarge(ramp(24), scale, shift=(0.0, shift))[0, 0, 12 * scale]
    wanted = (torch.arange(24 * scale) + 0.5) / scale + shift
    inside = slice(3 * scale, -3 * scale)
    # Keys' kernel with a = -0.75 does not reproduce a line exactly: it is off by up to 0.024 samples.
    assert (got - wanted)[inside].abs().max() < 0.05


def test_scale_one_without_shift_is_the_input_itself():
    x = noise(1, 1, 4, 4)
    assert enlarge(x, 1) is x


@pytest.mark.parametrize("kernel", ["bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(5, 4), (24, 40), (17, 31), (64, 64)])
def test_a_flat_picture_stays_flat_to_its_edges(kernel, size):
    x = torch.full((1, 3, 17, 23), 0.3)
    torch.testing.assert_close(resize(x, size, kernel=kernel), torch.full((1, 3, *size), 0.3))
    torch.testing.assert_close(enlarge(x, 3, kernel=kernel), torch.full((1, 3, 51, 69), 0.3))


def test_edges_repeat():
    x = noise(1, 1, 6, 6)
    wide = F.pad(x, (8, 8, 8, 8), mode="replicate")
    torch.testing.assert_close(
        enlarge(x, 2, kernel="lanczos"), enlarge(wide, 2, kernel="lanczos")[..., 16:28, 16:28]
    )


@pytest.mark.parametrize("kernel", ["bicubic", "lanczos"])
def test_reduction_filters_what_would_alias(kernel):
    stripes = (torch.arange(64) % 2).float().expand(1, 1, 64, 64).contiguous()
    small = resize(stripes, (64, 20), kernel=kernel)
    assert (small[..., 4:-4] - 0.5).abs().max() < 0.04


def test_reduction_keeps_what_fits():
    slow = torch.sin(torch.arange(96) * 2 * torch.pi / 48).expand(1, 1, 96, 96).contiguous()
    small = resize(slow, (96, 48))[0, 0, 48]
    wanted = torch.sin(((torch.arange(48) + 0.5) * 2 - 0.5) * 2 * torch.pi / 48)
    assert (small - wanted)[6:-6].abs().max() < 0.01


def test_ratio_reads_a_part_when_sizes_do_not_divide():
    got = resize(ramp(9), (9, 5), ratio=(1.0, 2.0), kernel="bicubic")[0, 0, 4]
    wanted = torch.arange(5) * 2 + 1.0
    assert (got - wanted)[1:-1].abs().max() < 0.1


def test_filters_made_during_inference_serve_training_too():
    with torch.inference_mode():
        enlarge(noise(1, 1, 5, 5), 3, shift=(0.125, 0.0), kernel="lanczos")
        resize(noise(1, 1, 5, 5), (7, 6), kernel="lanczos")
    x = noise(1, 1, 5, 5).requires_grad_()
    (
        enlarge(x, 3, shift=(0.125, 0.0), kernel="lanczos").sum() + resize(x, (7, 6), kernel="lanczos").sum()
    ).backward()
    assert x.grad is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_pixel_shuffle_is_the_one_of_pytorch(dtype, order):
    sizes = [(1, 1, 1), (2, 1, 5), (1, 6, 1), (3, 7, 4)]
    for scale, size, channels in product([1, 2, 3], sizes, [1, 3]):
        x = noise(size[0], channels * scale**2, *size[1:]).to(dtype).contiguous(memory_format=order)
        assert torch.equal(pixel_shuffle(x, scale), F.pixel_shuffle(x, scale)), (scale, size, channels)


def test_pixel_shuffle_reads_parts_of_larger_tensors():
    x = noise(2, 4, 9, 8).contiguous(memory_format=torch.channels_last)
    for part in (x[..., 1:5], x[:, :, 2:3], x[1:], x[:, :, :1, :1]):
        assert torch.equal(pixel_shuffle(part, 2), F.pixel_shuffle(part, 2))


def codes(*shape: int) -> Tensor:
    return (noise(*shape) * 255).round()


def test_reduction_of_a_line_is_matlabs_by_hand():
    taps = (
        torch.tensor([-3, -9, 29, 111, 111, 29, -9, -3], dtype=torch.float64) / 256
    )  # Keys, a = -0.5, spread over 2
    column = codes(1, 1, 12, 2)[..., :1].expand(-1, -1, -1, 2).contiguous()
    mirrored = torch.cat(
        [column[0, 0, :3, 0].flip(0), column[0, 0, :, 0], column[0, 0, -3:, 0].flip(0)]
    ).double()
    wanted = torch.stack([(mirrored[2 * i : 2 * i + 8] * taps).sum() for i in range(6)])
    got = reduce(column.to(torch.uint8), 2)
    assert got.dtype == torch.uint8
    assert got[0, 0, :, 0].tolist() == (wanted + 0.5).floor().clamp(0, 255).tolist()


def test_reduction_by_one_is_the_picture_itself():
    assert torch.equal(reduce(codes(2, 3, 7, 5), 1), codes(2, 3, 7, 5))


def test_reduction_rounds_halves_upward():
    assert reduce(torch.full((1, 1, 8, 8), 0.5), 2).eq(1).all()  # torch.round would go to the even neighbour


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_reduction_makes_the_files_of_set5_bit_for_bit(scale: int, test_data: Path):
    set5 = test_data / "testsets" / "Set5"
    for path in sorted((set5 / "HR").iterdir()):
        high = torch.from_numpy(cv2.imread(str(path)))
        low = torch.from_numpy(
            cv2.imread(str(set5 / "LR_bicubic" / f"X{scale}" / f"{path.stem}x{scale}.png"))
        )
        height, width = (side // scale * scale for side in high.shape[:2])
        made = reduce(high[:height, :width].permute(2, 0, 1)[None], scale)[0].permute(1, 2, 0)
        assert torch.equal(made, low), path.name


@pytest.mark.parametrize("scale", [2, 3, 4, 7])
def test_repeated_samples_are_those_of_pytorch(scale):
    x = torch.rand(1, 3, 11, 13)
    assert torch.equal(repeat(x, scale), F.interpolate(x, scale_factor=scale, mode="nearest"))
    repeat(x, scale).zero_()
    assert x.any()  # what comes is fresh


@pytest.mark.parametrize("kernel", ["catmull-rom", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(32, 36), (33, 35), (2, 2), (1, 5)])
@pytest.mark.parametrize("ratio", [(2, 2), (2, 1), (1, 2)])
@pytest.mark.parametrize("shift", [(0, -0.5), (0.5, 0), (-0.5, -0.5), (0, 0)])
def test_halving_is_the_sum_over_samples(kernel, size, ratio, shift):
    x = torch.rand(1, 2, *size)
    wanted = tuple(-(-side // step) for side, step in zip(size, ratio, strict=True))
    got = resize(x, wanted, ratio=ratio, shift=shift, kernel=kernel)
    by_rows = resize(
        x.requires_grad_(), wanted, ratio=ratio, shift=shift, kernel=kernel
    ).detach()  # the general way
    assert (got - by_rows).abs().max() < 2e-6
