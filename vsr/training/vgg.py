"""The features of VGG19 that perceptual losses compare. Reads weights that the user has; none come along."""

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.errors import ModelError
from vsr.models import read_tensors

_LAYERS = (
    dict.fromkeys((0, 2), 64)
    | dict.fromkeys((5, 7), 128)
    | dict.fromkeys((10, 12, 14, 16), 256)
    | dict.fromkeys((19, 21, 23, 25, 28, 30, 32, 34), 512)
)
"""Place in torchvision's `features` of each convolution, and its channels; a jump by 3 is a pooling."""

_WEIGHTS = {2: 0.1, 7: 0.1, 16: 1.0, 25: 1.0, 34: 1.0}
"""The last convolution of each size, weighted as Real-ESRGAN does (Wang et al., 2021)."""


class VggFeatures(nn.Module):
    """VGG19's convolutions (Simonyan & Zisserman, 2014), fixed, with ImageNet's normalisation."""

    mean: Tensor
    std: Tensor

    def __init__(self):
        super().__init__()
        widths = [3, *_LAYERS.values()]
        convolutions = (nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.features = nn.ModuleDict(dict(zip(map(str, _LAYERS), convolutions, strict=True)))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Compute the features before ReLU (Wang et al., 2018: after it few are left to compare), by place.

        (B, C, H, W), C 1 or 3, 0–1, 16 pixels or more at every side.
        """
        x = (x.expand(-1, 3, -1, -1) - self.mean) / self.std
        found: dict[int, Tensor] = {}
        for before, place in pairwise([0, *_LAYERS]):
            if place - before == 3:
                x = F.max_pool2d(x, 2)
            x = self.features[str(place)](x)
            if place in _WEIGHTS:
                found[place] = x
            x = F.relu(x)
        return found

    def distance(self, output: Tensor, target: Tensor) -> Tensor:
        """Weighted sum of the L1 distances of the features of two (B, C, H, W) batches."""
        with torch.no_grad():
            theirs = self(target)
        ours = self(output)
        losses = [weight * F.l1_loss(ours[at], theirs[at]) for at, weight in _WEIGHTS.items()]
        return torch.stack(losses).sum()


def load_vgg(path: Path) -> VggFeatures:
    """Read VGG19 from a file in torchvision's layout, with or without its classifier.

    Raises:
        ModelError: the file is missing, unreadable, or holds another network.
    """
    tensors = read_tensors(path)
    vgg = VggFeatures()
    wanted = vgg.state_dict()
    wrong = [key for key, value in wanted.items() if key not in tensors or tensors[key].shape != value.shape]
    if wrong:
        key, found = wrong[0], tensors.get(wrong[0])
        raise ModelError(
            f"{path} is not VGG19 in torchvision's layout: {key} {tuple(wanted[key].shape)} is expected, "
            f"{'it is not there' if found is None else f'it is {tuple(found.shape)}'}"
        )
    vgg.load_state_dict({key: tensors[key] for key in wanted})
    return vgg
