"""Luma of frames as support is measured on it."""

import numpy as np
import torch
from torch import Tensor

from vsr.frames import Frame
from vsr.picture import as_ycc, from_planes


def nominal_luma(frame: Frame) -> Tensor:
    """Luma by the frame's own facts, (H, W) float32, black 0 and white 255 at any depth, range and layout."""
    planes = [torch.from_numpy(np.ascontiguousarray(plane)) for plane in frame.planes]
    return as_ycc(from_planes(frame, planes))[0][0, 0] * 255
