"""Previews under way, and where what they have made lies."""

import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import anyio

from vsr.errors import VsrError
from vsr.jobs import Moment
from vsr.options import EnhanceOptions
from vsr.web.apart import make_preview
from vsr.web.data_folder import DataFolder, new_id
from vsr.web.problems import ProblemError, problem_of

PreviewFile = Literal["before.png", "after.png", "support.png", "before.mp4", "after.mp4"]

_LIMIT_S = 300.0
_MOST_AT_ONCE = 2
_MOST_KEPT = 40
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class PreviewView:
    """A preview as clients see it."""

    id: str
    upload: str
    state: Literal["running", "done", "failed"]
    error: str
    """One line on what went wrong; empty where nothing did."""
    files: Mapping[str, str]
    """Addresses of what is there, by name."""
    notes: Sequence[str]
    """What a job of these options does and a preview does not."""


@dataclass
class _Preview:
    upload: str
    notes: Sequence[str]
    stop: threading.Event = field(default_factory=threading.Event)
    error: VsrError | None = None
    is_over: bool = False
    began_s: float = field(default_factory=time.monotonic)


class Previews:
    """What is and was looked at. A new preview of an upload ends the one before."""

    def __init__(self, data: DataFolder):
        self._data = data
        self._known: dict[str, _Preview] = {}

    def begin(
        self, upload: str, path: Path, options: EnhanceOptions, moment: Moment, notes: Sequence[str] = ()
    ) -> str:
        """Begin one; returns its id. `notes` are for who asks how far it is.

        Raises:
            ProblemError: too many are under way.
        """
        for other in self._known.values():
            if other.upload == upload:
                other.stop.set()
        under_way = [each for each in self._known.values() if not each.is_over and not each.stop.is_set()]
        if len(under_way) >= _MOST_AT_ONCE:
            raise ProblemError(
                429, "other previews are under way; try again in a moment", {"Retry-After": "2"}
            )
        self._forget_old()
        id, this = new_id(), _Preview(upload, notes)
        folder = self._data.preview(id)
        folder.mkdir()
        self._known[id] = this
        work = (this, path, options, moment, folder)
        threading.Thread(target=_run, args=work, name="vsr-preview", daemon=True).start()
        return id

    def _forget_old(self) -> None:
        over = [id for id, each in self._known.items() if each.is_over]
        for id in over[: max(0, len(self._known) - _MOST_KEPT)]:
            del self._known[id]
            shutil.rmtree(self._data.preview(id), ignore_errors=True)

    def state(self, id: str) -> PreviewView:
        """How far a preview is."""
        this, folder = self._get(id), self._data.preview(id)
        names = get_args(PreviewFile)
        files = {name: f"/v1/previews/{id}/{name}" for name in names if (folder / name).exists()}
        state = "failed" if this.error else "done" if this.is_over else "running"
        return PreviewView(id, this.upload, state, str(this.error or ""), files, this.notes)

    async def file(self, id: str, name: PreviewFile) -> Path:
        """Wait until a file of a preview is there.

        Raises:
            ProblemError: there will be none.
        """
        path = self._data.preview(id) / name
        while True:
            this = self._get(id)
            is_over = this.is_over  # before the file is looked for
            if path.exists():
                return path
            if this.error is not None:
                raise problem_of(this.error)
            if is_over:
                raise ProblemError(404, f"this preview has no {name}")
            await anyio.sleep(_LOOK_EVERY_S)

    def _get(self, id: str) -> _Preview:
        if id not in self._known:
            raise ProblemError(404, "there is no such preview, or no longer; begin one")
        return self._known[id]

    def stop(self) -> None:
        """End all."""
        for each in self._known.values():
            each.stop.set()


def _run(this: _Preview, path: Path, options: EnhanceOptions, moment: Moment, folder: Path) -> None:
    try:
        make_preview(path, options, moment, folder, limit_s=_LIMIT_S, stop=this.stop)
    except VsrError as error:
        line = str(error).replace(f"{path}", "the upload").replace(f"{folder}/", "")
        this.error = (
            VsrError("another preview of this upload was begun") if this.stop.is_set() else type(error)(line)
        )
    finally:
        this.is_over = True
