"""A record that stands: what was done to a file, so that it can be checked, by whom it was signed, and done again."""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.evidence.chain_log import LOG, read_log, whole_lines
    from vsr.evidence.check import check_evidence, stamped
    from vsr.evidence.evidence_options import EvidenceOptions
    from vsr.evidence.folder import RECORD, OccupiedError, get, load_record, put
    from vsr.evidence.live_check import check_live, live_summary
    from vsr.evidence.live_log import is_live
    from vsr.evidence.live_records import LiveRecords
    from vsr.evidence.painting import refuse_painting
    from vsr.evidence.recorder import Recorder
    from vsr.evidence.replay import make_again
    from vsr.evidence.signing import RecordSigner, make_key, signer_of
    from vsr.evidence.time_stamp import STAMP, stamp_of

__getattr__ = lazy_exports(__name__)
