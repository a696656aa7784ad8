"""A folder of results, any number of times: what is to be done, what was done, and who does it."""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.archive.alive import Alive
    from vsr.archive.archive import Archive, ArchiveOptions, look
    from vsr.archive.entry import Entry
    from vsr.archive.file_record import FileRecord
    from vsr.archive.file_worker import Begun
    from vsr.archive.sources import Naming, find_archive
    from vsr.archive.supervisor import Message
    from vsr.archive.todo import Again, Conflict, Todo
    from vsr.archive.watch import FolderWatch, WatchOptions

__getattr__ = lazy_exports(__name__)
