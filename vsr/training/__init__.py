"""Data, losses and the loop that trains our own networks."""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.training.calibration import calibrate_checkpoint
    from vsr.training.data.blur import Kind, write_blurred
    from vsr.training.data.footage import find_pictures
    from vsr.training.events import why_no_events
    from vsr.training.loop import TrainingProgress, train
    from vsr.training.options import TrainOptions
    from vsr.training.processes import rank

__getattr__ = lazy_exports(__name__)
