"""What a batch is judged by. Losses take what the network gave and the original,
and know nothing of networks or steps.

Both are (B, T, C, H, W) float32, 0–1, outside autocast: bf16 has no digits left for a
difference of a thousandth. A loss is a mean over everything in the batch, so that the mean over
parts of a batch is that of the whole.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from vsr.training.critic import Critic, relativistic
from vsr.training.options import LossOptions
from vsr.training.vgg import VggFeatures


def charbonnier(output: Tensor, target: Tensor) -> Tensor:
    """Mean of sqrt(d² + ε²) with ε = 0.001, a smooth L1 (Charbonnier et al., 1994)."""
    return ((output - target).square() + 1e-6).sqrt().mean()


def fourier(output: Tensor, target: Tensor) -> Tensor:
    """Mean distance of the spectra's real and imaginary parts (Cho et al.,
    2021), by an orthonormal 2-D transform.

    An error of a given energy costs least where it is concentrated in few frequencies, most where it is
    spread out: a soft edge weighs more than a wrong shade.
    """
    spectrum = torch.fft.rfft2(output - target, norm="ortho")  # linear: one transform serves both
    return torch.view_as_real(spectrum).abs().mean()


def temporal_difference(output: Tensor, target: Tensor) -> Tensor:
    """Mean distance of the changes from frame to frame: what flickers costs, what moves right does not."""
    if output.shape[1] < 2:
        return output.new_zeros(())
    return F.l1_loss(output.diff(dim=1), target.diff(dim=1))


def mean_distance(ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
    """Mean over the layers of the L1 distance between the features of two pictures (Wang et al., 2018)."""
    return torch.stack([F.l1_loss(a, b) for a, b in zip(ours, theirs, strict=True)]).mean()


_OF_PIXELS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "charbonnier": charbonnier,
    "l1": F.l1_loss,
    "fft": fourier,
    "temporal": temporal_difference,
}


def weigh(
    output: Tensor,
    target: Tensor,
    options: LossOptions,
    *,
    vgg: VggFeatures | None = None,
    critic: Critic | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Judge a batch by every loss that has a weight.

    Args:
        output, target: (B, T, C, H, W) float32, 0–1.
        options: the weights.
        vgg: needed where `options.perceptual` is above 0.
        critic: needed where `options.adversarial` is above 0; its own weights get no gradient.

    Returns:
        The weighted sum, and each loss by its name, unweighted and detached.
    """
    losses = {name: loss(output, target) for name, loss in _OF_PIXELS.items() if getattr(options, name)}
    if options.perceptual:
        assert vgg is not None
        losses["perceptual"] = vgg.distance(output.flatten(0, 1), target.flatten(0, 1))
    if options.adversarial:
        assert critic is not None
        critic.requires_grad_(False)
        ours, our_features = critic(output.flatten(0, 1))
        with torch.no_grad():
            theirs, their_features = critic(target.flatten(0, 1))
        losses["adversarial"] = relativistic(ours, theirs)
        if options.feature_matching:
            losses["feature_matching"] = mean_distance(our_features, their_features)
        critic.requires_grad_(True)
    total = torch.stack([getattr(options, name) * loss for name, loss in losses.items()]).sum()
    return total, {name: loss.detach() for name, loss in losses.items()}
