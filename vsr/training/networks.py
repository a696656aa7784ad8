"""The networks that can be trained, and how one is run over a batch of clips."""

import torch
from torch import Tensor, nn

from vsr.models import PlainNet, RecurrentNet, UNet
from vsr.resample import enlarge
from vsr.training.options import TrainOptions

Trained = PlainNet | RecurrentNet | UNet
"""The networks that can be trained."""


def build(options: TrainOptions) -> Trained:
    """Make the network that is to be trained, with fresh weights."""
    if options.network == "unet":
        return UNet(channels=options.channels, colors=options.colors)
    network = {"plain": PlainNet, "recurrent": RecurrentNet}[options.network]
    return network(channels=options.channels, depth=options.depth, scale=options.scale, colors=options.colors)


class Unrolled(nn.Module):
    """A network over a whole training clip: what `step` gives for it, frame by frame with a memory."""

    def __init__(self, net: Trained):
        super().__init__()
        self.net = net

    def forward(self, low: Tensor) -> Tensor:
        """(B, T, C, h, w) → the residual (B, T, C, scale*h, scale*w), the middle frame's without a memory."""
        b, num_frames, _, height, width = low.shape
        fresh = torch.ones(b, dtype=torch.bool, device=low.device)
        state = self.net.init_state(b, height, width)
        if state is None:
            return self.net.step(low, None, fresh)[0]
        outputs: list[Tensor] = []
        for t in range(num_frames):
            window = low[:, [max(t - 1, 0), t, min(t + 1, num_frames - 1)]]
            output, state = self.net.step(window, state, fresh if t == 0 else ~fresh)
            outputs.append(output)
        return torch.cat(outputs, 1)


def predict(network: nn.Module, low: Tensor, high: Tensor, *, bf16: bool) -> tuple[Tensor, Tensor]:
    """Run an `Unrolled` network and add the enlargement, as the engine does; only the former in bf16.

    Args:
        network: an `Unrolled` one, also where processes share it.
        low: (B, T, C, h, w) float32, 0–1.
        high: (B, T, C, scale*h, scale*w), the originals.
        bf16: whether the network computes in it.

    Returns:
        The output and its original, (B, T, C, scale*h, scale*w) float32, or T =
        1 where it is the middle frame's.
    """
    with torch.autocast(low.device.type, torch.bfloat16, enabled=bf16):
        residual = network(low).float()
    num_given, middle = residual.shape[1], low.shape[1] // 2
    seen = slice(None) if num_given == low.shape[1] else slice(middle, middle + 1)
    scale = high.shape[3] // low.shape[3]
    base = enlarge(low[:, seen].flatten(0, 1), scale).unflatten(0, (-1, num_given))
    return base + residual, high[:, seen]
