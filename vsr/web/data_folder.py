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

_LOCK = "server.lock"


class DataFolder:
    """A folder that one server holds, until `close`."""

    def __init__(self, root: Path):
        """Take hold of it; it is made where it does not exist, for this user alone.

        Raises:
            ConfigError: another server holds it, or it holds files of others.
            SinkError: it cannot be written.
        """
        self.root = root.absolute()
        self._uploads, self._jobs, self._previews = (
            self.root / name for name in ("uploads", "jobs", "previews")
        )
        try:
            self._check_ours()
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (self._uploads, self._jobs):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise SinkError(f"data folder {root} cannot be written: {error.strerror}") from None
        try:
            self._hold = Alive(self.root / _LOCK)
        except sqlite3.Error:
            raise ConfigError(
                f"another vsr web is at work in {root}; end it, or name another folder with --data"
            ) from None
        shutil.rmtree(self._previews, ignore_errors=True)  # nobody looks at them any more
        self._previews.mkdir(exist_ok=True)

    def _check_ours(self) -> None:
        """Raise ConfigError for a folder that no server has made: what is in it is not ours to take away."""
        if self.database.exists() or not self.root.exists():
            return
        made = {self._uploads.name, self._jobs.name, self._previews.name, _LOCK}
        for path in self.root.iterdir():
            if path.name not in made or (path.is_dir() and any(path.iterdir())):
                raise ConfigError(
                    f"data folder {self.root} holds {path.name}, which vsr web has not made; name an empty folder, or"
                    " one that does not exist, with --data"
                )

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
