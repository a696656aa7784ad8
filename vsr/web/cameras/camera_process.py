"""Cameras as a process of the server's: what `vsr live` does with a file, told to the server twice a second."""

import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any, Literal

from vsr.errors import VsrError, one_line
from vsr.evidence import LiveRecords
from vsr.jobs import WorkerProcess, become_worker, stop_all, wait_for_news
from vsr.live import Backoff, LiveOptions, LiveService, health

_TELL_EVERY_S = 0.5
_END_WITHIN_S = 5.0
"""What cameras take at most to finish their files."""
_LISTEN_S = 0.25
_STEADY_S = 60.0
"""A process that has lived so long is started again at once."""

ProcessState = Literal["starting", "running", "restarting", "ended"]


class CameraProcess:
    """Runs cameras from `start` to `stop`, in a process of their own; in another one where that has ended."""

    def __init__(self, options: LiveOptions):
        self._options, self._stopping = options, threading.Event()
        self._thread = threading.Thread(target=self._run, name="vsr-cameras", daemon=True)
        self.state: ProcessState = "starting"
        self.error = ""
        """Why the last process has ended; empty while one runs."""
        self.health: Mapping[str, Any] = {}
        """What was told last, as `/healthz` of `vsr live` says it."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the cameras, files finished."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            began_s = time.monotonic()
            why = self._live_once()
            self.health = {}
            if self._stopping.is_set():
                break
            if time.monotonic() - began_s > _STEADY_S:
                backoff.worked()
            self.state, self.error = "restarting", why
            self._stopping.wait(backoff.next_s())
        self.state = "ended"

    def _live_once(self) -> str:
        """Run a process until it ends; returns why."""
        process, why = WorkerProcess(_live, self._options, name="vsr-cameras"), ""
        process.start()
        try:
            while process.exit_code is None and not self._stopping.is_set():
                wait_for_news([process], _LISTEN_S)
                for told in process.receive():
                    if isinstance(told, str):
                        why = told
                    else:
                        self.state, self.error, self.health = "running", "", told
        finally:
            stop_all([process], within_s=_END_WITHIN_S + 1)
        code = process.exit_code or 0
        return (
            why
            or f"the process of the cameras ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}"
        )


def _live(pipe: "Connection[Any, Any]", options: LiveOptions) -> None:
    """The process's whole life."""
    try:
        become_worker(KeyboardInterrupt(), within_s=_END_WITHIN_S)
        with LiveRecords() as records, LiveService(options, accept=records.accept) as service:
            while True:
                service.check()
                records.look(service)
                pipe.send(health(service.view()))
                time.sleep(_TELL_EVERY_S)
    except VsrError as error:
        pipe.send(f"{error}")
    except (KeyboardInterrupt, OSError):
        return
    except Exception as error:
        pipe.send(f"unexpected {type(error).__name__}: {one_line(error)}")
