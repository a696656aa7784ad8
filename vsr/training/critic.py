"""The critic of adversarial training: tells originals from our pictures, pixel by
pixel, and learns beside the network.

A U-Net with spectral norm, as Real-ESRGAN describes it (Wang et al., 2021).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class Critic(nn.Module):
    """Three halvings, three doublings with skips; all convolutions but first and last held to norm 1."""

    def __init__(self, *, colors: int, channels: int = 64):
        super().__init__()
        c = channels
        self.head = nn.Conv2d(colors, c, 3, padding=1)
        self.down = nn.ModuleList(
            spectral_norm(nn.Conv2d(c << n, c << n + 1, 4, stride=2, padding=1, bias=False)) for n in range(3)
        )
        self.up = nn.ModuleList(
            spectral_norm(nn.Conv2d(c << n + 1, c << n, 3, padding=1, bias=False)) for n in (2, 1, 0)
        )
        self.last = nn.ModuleList(spectral_norm(nn.Conv2d(c, c, 3, padding=1, bias=False)) for _ in range(2))
        self.tail = nn.Conv2d(c, 1, 3, padding=1, bias=False)  # a bias would cancel out in `relativistic`

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judge pictures.

        Args:
            x: (B, C, H, W), 0–1; H and W multiples of 8.

        Returns:
            (B, 1, H, W), the higher the more like an original; and the features
            of every size, going down and up.
        """
        x = _act(self.head(x))
        skips, features = [x], [x]
        for layer in self.down:
            x = _act(layer(x))
            skips.append(x)
            features.append(x)
        skips.pop()
        for layer in self.up:
            x = _act(layer(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)))
            features.append(x)
            x = x + skips.pop()
        for layer in self.last:
            x = _act(layer(x))
        return self.tail(x), features


def _act(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def relativistic(better: Tensor, worse: Tensor) -> Tensor:
    """How far the critic is from judging each pixel of `better` more real, by
    1, than its twin in `worse`: 0 to 4.

    Relativistic pairing (Jolicoeur-Martineau, 2018): both pictures show the same scene, so that what is shown
    cancels out and what is left is how real it looks. The critic learns with the original as `better`, the
    network with its own output there. Least squares (Mao et al., 2017), since the critic always wins against
    a small network: with cross entropy and with a hinge its judgements grew to 10 to 25 within 400 steps and
    drowned the other losses; here they stay 1 apart, and a weight keeps its meaning.
    """
    return (better - worse - 1).square().mean()


def critic_loss(critic: Critic, output: Tensor, target: Tensor) -> Tensor:
    """What the critic learns from a batch: (B, T, C, H, W) twice; the network itself gets no gradient."""
    both = torch.cat([target, output.detach()]).flatten(0, 1)
    original, ours = critic(both)[0].chunk(2)
    return relativistic(original, ours)
