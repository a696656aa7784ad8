"""The record of one camera: a log that goes on from recorded file to recorded file, and over restarts of the service.

All of it is written by one thread; files are hashed in others, for an hour's takes seconds. What cannot be written
waits for the next look.
"""

import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path
from typing import Any

from vsr.durable import sha256_of, sync
from vsr.errors import ConfigError, SinkError
from vsr.evidence.chain_log import LOG, ChainLog, read_log
from vsr.evidence.folder import get, put
from vsr.evidence.frame_account import FrameAccount
from vsr.evidence.live_log import HEAD, LIVE, NamedFiles, finished_name
from vsr.evidence.seals import sealed
from vsr.evidence.signing import RecordSigner, named_key
from vsr.live import ORIGINAL, CameraOptions, FrameNote, LogEvent, in_background, recorded_names

_SIGN_EVERY_S = 3600.0
"""Where no file is finished."""
_CLOCK_OFF_S = 0.5
"""Steps of the clock on the wall, against the monotonic one, that are told."""


class LiveRecord:
    """The record of one camera, until `end`."""

    def __init__(self, camera: CameraOptions, facts: Mapping[str, Any], signer: RecordSigner | None):
        """Begin the record, or go on with the one that lies there.

        Raises:
            ConfigError: another one's record or other files lie there.
            VerifyError: what lies there was changed.
            SinkError: it cannot be written, or another process writes it.
        """
        self.camera, self.recordings = camera, Path(camera.recordings[0].address.url)
        self.folder = self.recordings / LIVE
        self._signer = signer
        self._waiting: deque[tuple[str, Mapping[str, Any]]] = deque()
        self._hashing: dict[str, Future[Mapping[str, Any] | None]] = {}
        self._account = FrameAccount()
        self._totals: Mapping[str, Any] = {}
        self._signed_s = self._offset_s = 0.0
        self._open_folder()
        self._log = ChainLog(self.folder)
        try:
            self._go_on(facts)
        except BaseException:
            self._log.close()
            raise

    def _open_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            others = set(os.listdir(self.folder)) - {LOG, HEAD}
        except OSError as error:
            raise SinkError(f"evidence {self.folder} cannot be made: {error.strerror}") from error
        if {name for name in others if not name.startswith(".")}:
            raise ConfigError(
                f"evidence {self.folder} holds other files; name another folder for the recordings"
            )

    def _go_on(self, facts: Mapping[str, Any]) -> None:
        whose = {"record": "live", "camera": self.camera.name}
        first = self._log.first
        if first is not None and {name: first.get(name) for name in whose} != whose:
            raise ConfigError(
                f"evidence {self.folder} is the record of something else; name another folder for the recordings"
            )
        self._files = NamedFiles().read(read_log(get(self.folder, LOG), self.folder / LOG)[0])
        here = set(map(finished_name, self._names()))
        unknown = here - self._files.begun - self._files.hashed.keys() - self._files.earlier
        self._files.earlier |= unknown
        told = {**whose, **facts, "signer": named_key(self._signer), "earlier": sorted(unknown)}
        self._note("begun" if first is None else "went on", told)
        self._write(sign=True)

    def _names(self) -> set[str]:
        try:
            return recorded_names(self.recordings, self.camera.name)
        except OSError as error:
            raise SinkError(f"{self.recordings} cannot be read: {error.strerror}") from error

    def configured(
        self, camera: CameraOptions, facts: Mapping[str, Any], signer: RecordSigner | None
    ) -> None:
        """Note that the service has taken up another configuration."""
        self.camera, self._signer = camera, signer
        self._note("configuration", {**facts, "signer": named_key(signer)})

    def look(
        self,
        events: Sequence[LogEvent] = (),
        notes: Sequence[FrameNote] = (),
        totals: Mapping[str, Any] | None = None,
    ) -> None:
        """Take in what has happened, see which files were finished and hashed, and write it down.

        Args:
            events: what the log tells of the camera.
            notes: what has become of its frames.
            totals: counts of all that was lost, since the camera was begun.

        Raises:
            SinkError: it cannot be written; the next look tries again.
        """
        self._account_for(notes)
        self._totals = totals or self._totals
        self._look_at_clock()
        for event in events:
            facts = {"event": event.name, "text": event.text, "bad": event.bad, "fields": dict(event.fields)}
            self._note("event", facts)
        is_due = self._look_at_files() or time.monotonic() - self._signed_s > _SIGN_EVERY_S
        if is_due:
            self._note_frames()
        self._write(sign=is_due)

    def _account_for(self, notes: Sequence[FrameNote]) -> None:
        """Take in what became of frames; one that is the first again is of a camera that was begun anew."""
        first = next((at for at, note in enumerate(notes) if note.number == 0), None)
        if first is not None:
            self._account.add(notes[:first])
            self._account.close()
            self._note_frames()
            self._account, notes = FrameAccount(), notes[first:]
        self._account.add(notes)

    def _look_at_clock(self) -> None:
        """Note that the clock on the wall was set."""
        offset_s = time.time() - time.monotonic()
        if self._offset_s and abs(offset_s - self._offset_s) > _CLOCK_OFF_S:
            self._note("clock set", {"by_s": round(offset_s - self._offset_s, 3)})
        self._offset_s = offset_s

    def _look_at_files(self) -> bool:
        """Have hashed what was finished; say whether the hash of any has come."""
        files, here = self._files, self._names()
        for name in sorted(set(map(finished_name, here)) - files.begun - files.hashed.keys() - files.earlier):
            files.begun.add(name)
            self._note("begins", {"file": name})
        for name in sorted(here - files.hashed.keys() - files.earlier - self._hashing.keys()):
            if not name.endswith(".part"):
                hashed = partial(_file_facts, self.recordings / name)
                self._hashing[name] = in_background(hashed, name="vsr-hash")
        come = [name for name, facts in self._hashing.items() if facts.done()]
        num_noted = sum(self._note_file(name) for name in come)
        for name in sorted(files.hashed.keys() - here - files.gone):
            files.gone.add(name)
            self._note("gone", {"file": name})
        return num_noted > 0

    def _note_file(self, name: str) -> bool:
        """Note a file whose hash has come; False where it has gone meanwhile."""
        told = self._hashing.pop(name).result()
        if told is None:
            return False
        self._files.hashed[name] = told
        self._note("segment", told)
        return True

    def is_hashing(self) -> bool:
        """Look at the files; say whether the hash of any is still waited for.

        Raises:
            SinkError: one cannot be read.
        """
        self._look_at_files()
        return bool(self._hashing)

    def _note_frames(self) -> None:
        if told := self._account.told():
            self._note("frames", told | {"totals": dict(self._totals)})

    def _note(self, step: str, facts: Mapping[str, Any]) -> None:
        self._waiting.append((step, facts))

    def _write(self, *, sign: bool) -> None:
        """Write down what waits; sign all of it, where there is a key."""
        if not self._waiting:
            return
        while self._waiting:
            step, facts = self._waiting[0]
            self._log.add(step, **facts)
            self._waiting.popleft()
        if sign:
            self._signed_s = time.monotonic()
            if self._signer is not None:
                self._log.add("signed", signature=self._signer.sign(self._log.seal.encode()).hex())
        put(self.folder, HEAD, sealed({"lines": self._log.num_lines, "last": self._log.seal}), again=True)

    def end(self) -> None:
        """Write the last line, and let go of the log; to be called once.

        Raises:
            SinkError: it cannot be written.
        """
        try:
            while self.is_hashing():
                wait(self._hashing.values())
            self._account.close()
            self._note_frames()
            self._note("ended", {})
            self._write(sign=True)
        finally:
            self._log.close()


def _file_facts(path: Path) -> Mapping[str, Any] | None:
    """What the log tells of a file that is finished; None where it is gone."""
    try:
        sync(path)
        told = {"file": path.name, "original": f"{ORIGINAL}." in path.name, "bytes": path.stat().st_size}
        return told | {"sha256": sha256_of(path)}
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SinkError(f"{path} cannot be read: {error.strerror}") from error
