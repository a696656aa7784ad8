"""The networks that can be trained, and how one is run over a batch of clips."""

import torch
from torch import Tensor, nn

from vsr.engine import enlarged_planes, to_packed
from vsr.models import NEIGHBOURED, PACKED, TOLD, PlainNet, PlanesNet, RecurrentNet, UNet
from vsr.resample import enlarge
from vsr.training.batch import Batch
from vsr.training.options import TrainOptions

Trained = PlainNet | RecurrentNet | UNet | PlanesNet
"""The networks that can be trained."""


def build(options: TrainOptions) -> Trained:
    """Make the network that is to be trained, with fresh weights."""
    if options.network == "unet":
        return UNet(channels=options.channels, colors=options.colors)
    if options.on_planes:
        scales, depth = tuple(options.shares), (1, options.depth, 1)
        width = options.channels
        colors = NEIGHBOURED if options.network == "planes-over-time" else PACKED + TOLD
        return PlanesNet(
            channels=width, deep=2 * width, depth=depth, scales=scales, scale=scales[0], colors=colors
        )
    network = {"plain": PlainNet, "recurrent": RecurrentNet}[options.network]
    return network(channels=options.channels, depth=options.depth, scale=options.scale, colors=options.colors)


class Unrolled(nn.Module):
    """A network over a whole training clip: what `step` gives for it, frame by frame with a memory."""

    def __init__(self, net: Trained):
        super().__init__()
        self.net = net

    def forward(self, low: Tensor, scale: int) -> Tensor:
        """(B, T, C, h, w) → the residual (B, T, C, scale*h, scale*w), the middle frame's without a memory."""
        self.net.scale = scale  # another one than before for a network that has several
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


def predict(network: nn.Module, batch: Batch, *, bf16: bool) -> tuple[Tensor, Tensor]:
    """Run an `Unrolled` network and add the enlargement, as the engine does; only the former in bf16.

    Args:
        network: an `Unrolled` one, also where processes share it.
        batch: on the network's device.
        bf16: whether the network computes in it.

    Returns:
        The output and its original, (B, T, C, scale*H, scale*W) float32, or T =
        1 where it is the middle frame's.
    """
    with torch.autocast(batch.low.device.type, torch.bfloat16, enabled=bf16):
        residual = network(batch.low, batch.scale).float()
    given, middle = residual.shape[1], batch.low.shape[1] // 2
    seen = slice(None) if given == batch.low.shape[1] else slice(middle, middle + 1)
    return enlarged(batch, seen) + residual, batch.high[:, seen]


def enlarged(batch: Batch, seen: slice = slice(None)) -> Tensor:
    """What the residual is added to: the frames `seen` of a batch as large as the originals, without a network."""
    frames = batch.low[:, seen]
    if batch.packed:
        large = enlarged_planes(batch.picture(frames), batch.scale)
        assert large.luma is not None
        assert large.chroma is not None
        base = to_packed(large.luma, large.chroma)
    else:
        base = enlarge(frames.flatten(0, 1), batch.scale)
    return base.unflatten(0, frames.shape[:2])
