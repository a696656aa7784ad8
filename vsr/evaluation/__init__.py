"""What `vsr eval` does: models scored on pictures and clips whose truth is known."""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.evaluation.candidates import Candidate, our_candidate
    from vsr.evaluation.codec_damage import parse_compression, spoilt
    from vsr.evaluation.model_table import SCALES, SETS, TableRow, measure_models
    from vsr.evaluation.score_clips import ClipResult, ReferenceClip, open_clip, score_clip
    from vsr.evaluation.score_pictures import PicturesResult, score_set
    from vsr.evaluation.test_sets import PictureSet, told_of

__getattr__ = lazy_exports(__name__)
