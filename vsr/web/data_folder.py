"""Where the server keeps what it is given and makes, and that it is the only one there.

Every name below is an id of ours; nothing that a client says becomes a part of a path, but an ending that we know.
"""

import secrets
import shutil
import sqlite3
from pathlib import Path

from vsr.archive import Alive
from vsr.errors import ConfigError, SinkError
from vsr.jobs import LEAST_FREE, free_bytes, is_known_ending


class DataFolder:
    """A folder that one server holds, until `close`."""

    def __init__(self, root: Path):
        """Take hold of it; it is made where it does not exist.

        Raises:
            ConfigError: another server holds it.
            SinkError: it cannot be written.
        """
        self.root = root.absolute()
        self._uploads, self._jobs, self._previews = (
            self.root / name for name in ("uploads", "jobs", "previews")
        )
        try:
            for folder in (self._uploads, self._jobs):
                folder.mkdir(parents=True, exist_ok=True)
            self.root.chmod(0o700)  # uploads are nobody else's
        except OSError as error:
            raise SinkError(f"data folder {root} cannot be written: {error.strerror}") from None
        try:
            self._hold = Alive(self.root / "server.lock")
        except sqlite3.Error:
            raise ConfigError(
                f"another vsr web is at work in {root}; end it, or name another folder with --data"
            ) from None
        shutil.rmtree(self._previews, ignore_errors=True)  # nobody looks at them any more
        self._previews.mkdir(exist_ok=True)

    def close(self) -> None:
        """Let go of it."""
        self._hold.close()

    @property
    def database(self) -> Path:
        return self.root / "web.sqlite"

    @property
    def token_file(self) -> Path:
        return self.root / "token"

    def upload(self, id: str, ending: str) -> Path:
        """Where an upload's bytes lie."""
        return self._uploads / id / f"source{ending}"

    def job(self, id: str) -> Path:
        """Folder of a job's archive."""
        return self._jobs / id

    def preview(self, id: str) -> Path:
        """Folder of a preview."""
        return self._previews / id

    def remove_upload(self, id: str) -> None:
        shutil.rmtree(self._uploads / id, ignore_errors=True)

    def remove_job(self, id: str) -> None:
        shutil.rmtree(self._jobs / id, ignore_errors=True)

    def has_room(self, num_bytes: int) -> bool:
        """Whether so many bytes more may be written."""
        return free_bytes(self.root) >= num_bytes + LEAST_FREE


def new_id() -> str:
    """A name for something of ours, which nobody can guess."""
    return secrets.token_hex(8)


def known_ending(name: str) -> str:
    """The ending of a client's name where it is one of those that we know; else none."""
    ending = Path(name).suffix.lower()
    return ending if is_known_ending(ending) else ""
