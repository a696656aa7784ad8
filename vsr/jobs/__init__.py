"""Long work: from paths to finished files, in segments that resume, by one process, several, or a cluster."""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.jobs.disk import LEAST_FREE, free_bytes, wait_for_room
    from vsr.jobs.enhance_file import FileView, Outcome, Result, num_workers, run_file
    from vsr.jobs.estimate import Estimate, estimate_plan
    from vsr.jobs.folders import (
        COPIES,
        RECORD_LOG,
        is_known_ending,
        is_media,
        matching,
        media_of,
        walk,
    )
    from vsr.jobs.frame_hash import FrameHash
    from vsr.jobs.identity import sampled_hash, wishes_of
    from vsr.jobs.inputs import (
        Job,
        check_also,
        extension_of,
        find_jobs,
        marked_clashes,
        suffix_of,
        targets_of,
    )
    from vsr.jobs.int8_ranges import in_own_ranges
    from vsr.jobs.measured_support import check_support, support_of_plan
    from vsr.jobs.noting import hash_of
    from vsr.jobs.plan import Plan, make_plan
    from vsr.jobs.preview import Moment, preview_file
    from vsr.jobs.provenance import Record, check_sidecar, provenance_of, write_sidecar
    from vsr.jobs.segments.journal import OtherJobError
    from vsr.jobs.segments.journal_records import JOURNAL, Records, read_records
    from vsr.jobs.segments.unfinished import Unfinished, find_unfinished, remove
    from vsr.jobs.source_quality import shown_damage
    from vsr.jobs.workers.worker_process import WorkerProcess, become_worker, stop_all, wait_for_news

__getattr__ = lazy_exports(__name__)
