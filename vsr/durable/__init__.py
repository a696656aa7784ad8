"""Files that outlive a power cut, and get their names without harm to those of others."""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.durable.file_names import fitting, free_names, give_free_name, give_name, longest_name, sync
    from vsr.durable.marks import NotOursError, is_marked, read_plain, were_promised
    from vsr.durable.stamps import Stamp, begins_with, file_id, lies_in, place_of, real_path, sha256_of, stamp
    from vsr.durable.whole_file import whole, write_whole
    from vsr.durable.work_folders import WorkFolder, fresh_name, hold, work_folder

__getattr__ = lazy_exports(__name__)
