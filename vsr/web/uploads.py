"""Uploads: how much of each has come, who is bringing it now, how long it is kept.

The size of a file is how much of its upload has come: nothing else is written down, so nothing can disagree with it
after a crash.
"""

import asyncio
import errno
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import anyio

from vsr.durable import sync
from vsr.web.data_folder import DataFolder, known_ending, new_id
from vsr.web.problems import ProblemError
from vsr.web.records import Upload
from vsr.web.store import Store
from vsr.web.web_options import WebOptions

_PIECE = 1 << 20
"""Bytes that are written at once."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Uploads:
    """The uploads of a data folder. Used by the server's loop alone, but for `remove_old`."""

    def __init__(self, data: DataFolder, store: Store, options: WebOptions):
        self._data, self._store, self._options = data, store, options
        self._bringing: dict[str, anyio.CancelScope] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    def create(self, name: str, length: int) -> Upload:
        """Begin an upload.

        Raises:
            ProblemError: it is too large, there are too many, or the disk has no room for it.
        """
        most = self._options.max_bytes
        if length > most:
            raise ProblemError(
                413, f"{length} bytes are too many; uploads of up to {most} bytes are accepted"
            )
        uploads = self._store.uploads()
        if len(uploads) >= self._options.max_files:
            raise ProblemError(
                507,
                f"{len(uploads)} uploads are here, and no more are kept; delete some, or wait until they expire",
            )
        promised = sum(upload.length - self.offset(upload) for upload in uploads)
        if not self._data.has_room(length + promised):
            raise ProblemError(507, f"the disk has no room for {length} bytes more; free some, and try again")
        upload = Upload(new_id(), _label(name), known_ending(name), length, time.time())
        self.path(upload).parent.mkdir()
        self.path(upload).touch()
        self._store.add_upload(upload)
        return upload

    def get(self, id: str) -> Upload:
        """An upload by its id.

        Raises:
            ProblemError: there is none, or no longer.
        """
        upload = self._store.upload(id)
        if upload is None or not self.path(upload).exists():
            raise ProblemError(404, "there is no such upload, or it has expired; upload the file again")
        return upload

    def path(self, upload: Upload) -> Path:
        return self._data.upload(upload.id, upload.ending)

    def offset(self, upload: Upload) -> int:
        """Bytes that have come."""
        with suppress(FileNotFoundError):
            return self.path(upload).stat().st_size
        return 0

    def is_whole(self, upload: Upload) -> bool:
        return self.offset(upload) == upload.length

    def expires_s(self, upload: Upload) -> float:
        """Seconds since 1970 at which an upload goes, unless a job needs it."""
        return upload.touched_s + self._options.keep_s

    async def bring(self, upload: Upload, offset: int, body: AsyncIterator[bytes]) -> int:
        """Write what comes behind what has come, as far as it comes. Returns how much there is.

        Whoever has brought some of it so far is cut off: it has lost its connection without our hearing of it.

        Raises:
            ProblemError: the offset is another one, the upload grows beyond its length, or the disk is full.
        """
        async with self._alone(upload.id):
            there = self.offset(self.get(upload.id))
            if offset != there:
                raise ProblemError(409, f"offset {offset} is wrong; {there} bytes have come")
            with self.path(upload).open("ab", buffering=0) as file:
                try:
                    await self._write(file, upload, there, body)
                finally:
                    with anyio.CancelScope(shield=True):
                        await anyio.to_thread.run_sync(os.fsync, file.fileno())
            there = self.offset(upload)
            if there == upload.length:
                await anyio.to_thread.run_sync(sync, self.path(upload).parent)
            self._store.touch(upload.id)
            return there

    async def _write(self, file: BinaryIO, upload: Upload, there: int, body: AsyncIterator[bytes]) -> None:
        waiting = bytearray()
        try:
            async for chunk in body:
                waiting += chunk
                if there + len(waiting) > upload.length:
                    waiting.clear()
                    raise ProblemError(413, f"more bytes came than the {upload.length} that were promised")
                if len(waiting) >= _PIECE:
                    there += len(waiting)
                    await self._put(file, waiting)
        finally:
            with anyio.CancelScope(shield=True):  # what came before a cut is not lost
                await self._put(file, waiting)

    async def _put(self, file: BinaryIO, waiting: bytearray) -> None:
        piece = bytes(waiting)
        waiting.clear()
        try:
            if piece and not self._data.has_room(len(piece)):
                raise OSError(errno.ENOSPC, "no room")
            await anyio.to_thread.run_sync(_write_all, file, piece)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise ProblemError(507, "the disk is full; go on with this upload when there is room") from None

    @asynccontextmanager
    async def _alone(self, id: str) -> AsyncGenerator[None]:
        if id in self._bringing:
            self._bringing[id].cancel()
        turn = self._turns.setdefault(id, asyncio.Lock())
        async with turn:
            with anyio.CancelScope() as scope:
                self._bringing[id] = scope
                try:
                    yield
                finally:
                    del self._bringing[id]
            if scope.cancelled_caught:
                raise ProblemError(409, "another request goes on with this upload")

    async def remove(self, upload: Upload) -> None:
        """Take an upload away.

        Raises:
            ProblemError: a job needs it.
        """
        async with self._alone(upload.id):
            if not self._store.remove_upload(upload.id):
                raise ProblemError(409, "a job needs this upload; delete the job first")
            await anyio.to_thread.run_sync(self._data.remove_upload, upload.id)
        self._turns.pop(upload.id, None)

    def remove_old(self) -> None:
        """Take away what has expired and no job needs."""
        for upload in self._store.uploads():
            is_old = self.expires_s(upload) < time.time() and upload.id not in self._bringing
            if is_old and self._store.remove_upload(upload.id):
                self._data.remove_upload(upload.id)


def _write_all(file: BinaryIO, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]


def _label(name: str) -> str:
    """A client's name as a label: its last part, without what no screen shows."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    shown = "".join(letter for letter in last if letter.isprintable()).encode("utf-8", "ignore").decode()
    return shown.strip(". ")[:200] or "upload"
