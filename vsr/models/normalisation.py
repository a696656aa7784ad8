"""Batch and instance normalisation with the statistics of the picture at hand, or with those of training."""

from torch import Tensor, nn
from torch.nn import functional as F


class Normalisation(nn.BatchNorm2d):
    """A layer of either kind under its usual keys.

    The statistics are each picture's own, as in training with one picture at a time: the whole picture
    counts, and tiles are an approximation. `trained` takes the ones that the file has kept.
    """

    trained = False

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        if not self.trained:
            return F.instance_norm(input, weight=self.weight, bias=self.bias, eps=self.eps)
        return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
