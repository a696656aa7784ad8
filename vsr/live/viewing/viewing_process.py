"""The viewers' server, as seen from the service: a process that is started, fed, and started again where it ends."""

import contextlib
import logging
import os
import pickle
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vsr.errors import ConfigError
from vsr.http_safety import token_hash
from vsr.live import child_pipes
from vsr.live.newest_wins import in_background
from vsr.live.retry import Backoff, Retry
from vsr.live.serving.broadcast import Subscription
from vsr.live.serving.hub import Hub
from vsr.live.viewing.viewing_order import ViewingOrder
from vsr.live.watch_options import BrowserOptions

log = logging.getLogger("vsr.live")

_NEEDS = ("aiortc", "starlette", "uvicorn")
_TELL_S = 0.5
"""Between two accounts of how the cameras do."""
_END_S = 3.0
_RETRY = Retry(longest_s=10.0, soon_s=2.0)


class ViewingProcess:
    """Shows what a hub has to whoever asks, until it is closed.

    Args:
        options: where and to whom.
        hub: what there is to see.
        health: how the cameras do; called in a thread.
        tell: told a new token.

    Raises:
        ConfigError: the extra `watch` is not installed, the port cannot be opened, or the token file is none.
    """

    def __init__(
        self,
        options: BrowserOptions,
        hub: Hub,
        health: Callable[[], Mapping[str, Any]],
        tell: Callable[[str], None] = lambda text: None,
    ):
        missing = [name for name in _NEEDS if find_spec(name) is None]
        if missing:
            raise ConfigError(
                f"cameras in a browser need {', '.join(missing)}, the extra `watch`; pip install 'vsr[watch]', or leave"
                " watch out"
            )
        hash, token = token_hash(Path(options.token_file)) if options.token_file else ("", "")
        try:
            # Here: while the process starts, or is started again, browsers wait and are not refused.
            self._listening = _listen(options.host, options.port)
        except OSError as error:
            raise ConfigError(
                f"watch: port {options.port} of {options.host} cannot be opened: {error.strerror}; give another"
            ) from None
        self._order = ViewingOrder(options.host, self._listening.fileno(), options.allow_host, hash)
        self._hub, self._health = hub, health
        self._closing = threading.Event()
        try:
            self._server = _Server(self._order, hub, health)
        except BaseException:
            self._listening.close()
            raise
        if token:
            tell(
                f"token of the cameras' page: {token} (shown this once; {options.token_file} keeps its hash)"
            )
        self._done = in_background(self._run, name="vsr-viewing")

    @property
    def pid(self) -> int:
        """Process number of the server."""
        return self._server.pid

    def close(self) -> None:
        """End the process and what feeds it, within four seconds. Harmless twice."""
        self._closing.set()
        self._server.end()
        self._done.result()
        self._listening.close()

    def _run(self) -> None:
        backoff = Backoff(_RETRY)
        while True:
            began_s = time.monotonic()
            self._server.run()
            if time.monotonic() - began_s > _RETRY.longest_s:
                backoff.worked()
            if not self._closing.is_set():
                log.warning(
                    "the page of the cameras has ended and is started again: %s", self._server.last_words
                )
            if self._closing.wait(backoff.next_s()):
                return
            self._server = _Server(self._order, self._hub, self._health)
            if self._closing.is_set():
                self._server.end()


def _listen(host: str, port: int) -> socket.socket:
    """Open a port.

    Raises:
        OSError: it is taken, or the address is not this machine's.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(256)
    except OSError:
        listening.close()
        raise
    return listening


class _Server:
    """One process. A thread reads what it wants; one for each view that is watched writes the units, and waits where
    the process does: what is too much is dropped by the subscription."""

    def __init__(self, order: ViewingOrder, hub: Hub, health: Callable[[], Mapping[str, Any]]):
        self._hub, self._health = hub, health
        self._piped = child_pipes.start(
            [sys.executable, "-P", "-m", "vsr.live.viewing"], inherits=[order.listening]
        )
        self.pid = self._piped.child.pid
        self._input = os.fdopen(os.dup(self._piped.write_end), "wb")
        self._piped.close_input()
        self._lines = os.fdopen(os.dup(self._piped.read_end), "r", encoding="utf-8")
        self._writing = threading.Lock()
        self._subscriptions: dict[int, Subscription] = {}
        self._over = threading.Event()
        self._watchdog = threading.Timer(_END_S, self._piped.child.signal_kill)
        self._write(order)

    @property
    def last_words(self) -> str:
        """What the process has said last of what went wrong."""
        return self._piped.child.log.strip().rpartition("\n")[2] or "it was killed"

    def run(self) -> None:
        """Feed the process until it ends."""
        telling = in_background(self._tell, name="vsr-viewing-health")
        feeding: list[Future[None]] = []
        for line in self._lines:
            word, number, *name = line.split()
            if word == "want":
                feeding = [*(one for one in feeding if not one.done()), self._begin(int(number), name[0])]
            elif (subscription := self._subscriptions.pop(int(number), None)) is not None:
                subscription.close()
        self._over.set()
        for subscription in list(self._subscriptions.values()):
            subscription.close()
        for work in (telling, *feeding):
            work.result()
        self._close()

    def end(self) -> None:
        """Let the process end, or end it; `run` then returns. From any thread, and harmless twice."""
        if self._over.is_set():
            return
        self._over.set()
        self._watchdog.start()
        with contextlib.suppress(OSError, ValueError):
            self._input.close()

    def _begin(self, number: int, name: str) -> Future[None]:
        """Begin to write the units of a view, until it is wanted no more or ends."""
        subscription = None
        with contextlib.suppress(LookupError):
            self._subscriptions[number] = subscription = self._hub.subscribe(name)

        def feed() -> None:
            for unit in subscription or ():
                self._write((number, unit))
            self._write((number, None))

        return in_background(feed, name="vsr-viewing-feed")

    def _tell(self) -> None:
        while True:
            self._write((0, dict(self._health())))
            if self._over.wait(_TELL_S):
                return

    def _write(self, told: object) -> None:
        """Tell the process something; harmless after its end."""
        with self._writing, contextlib.suppress(OSError, ValueError):
            pickle.dump(told, self._input)
            self._input.flush()

    def _close(self) -> None:
        self._watchdog.cancel()
        with contextlib.suppress(OSError):
            self._input.close()
        self._lines.close()
        self._piped.close()
