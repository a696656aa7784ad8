"""The block without normalisation that EDSR made usual, and that most networks since are stacks of."""

import torch
from torch import Tensor, nn

from vsr.models.layers.conv_relu import conv_relu


class ResidualBlock(nn.Module):
    """x + share * conv2(relu(conv1(x)))."""

    def __init__(self, channels: int, share: float = 1.0):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return torch.add(x, self.conv2(conv_relu(self.conv1, x)), alpha=self.share)
