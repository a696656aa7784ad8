"""Resizing of planes on tensors, with the place of every sample exact."""

from vsr.resample.halving import Halving
from vsr.resample.kernels import Kernel
from vsr.resample.resizing import enlarge, pixel_shuffle, reduce, repeat, resize

__all__ = ["Halving", "Kernel", "enlarge", "pixel_shuffle", "reduce", "repeat", "resize"]
