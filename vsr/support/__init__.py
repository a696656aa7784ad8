"""How much of a result its source supports: what is measured, what is only likely, and what nothing confirms."""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.support.calibrating import calibrate_support
    from vsr.support.disagreement import Doubters
    from vsr.support.measuring import FrameSupport, Measuring
    from vsr.support.overlay import hatched
    from vsr.support.support_files import SupportPaths, figures_text
    from vsr.support.support_report import Figures, Region, sentences, text_sentences
    from vsr.support.tables import ANY, Calibration, calibration_of, path_of_tables, with_tables_kept, written
    from vsr.support.whole_stream import SupportTask, support_stream
    from vsr.support.wishes import SupportWishes

__getattr__ = lazy_exports(__name__)
