"""What a network gives is added to its base whichever way its samples lie in memory."""

import pytest
import torch

from vsr.engine.residual import _added, _added_to_repeated
from vsr.resample import repeat


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(5, 7), (32, 9), (75, 40)])
def test_colours_pixel_by_pixel_are_added_as_planes_are(size, dtype):
    base, output = torch.rand(1, 3, *size), torch.rand(1, 3, *size).to(dtype)
    wanted = base.clone().add_(output)
    by_pixel = output.contiguous(memory_format=torch.channels_last)
    assert torch.equal(_added(base.clone(), output), wanted)
    assert torch.equal(_added(base, by_pixel), wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 40])
def test_what_is_repeated_is_added_as_its_enlargement_is(scale, dtype):
    small, output = torch.rand(1, 3, 35, 7), torch.rand(1, 3, 35 * scale, 7 * scale).to(dtype)
    wanted = repeat(small, scale) + output
    for given in (output, output.contiguous(memory_format=torch.channels_last)):
        assert torch.equal(_added_to_repeated(small, given, scale), wanted)
