"""The viewers' server as a process of its own: `python -m vsr.live.viewing`.

Nothing that viewers do, however many they are, takes time from the engine's process, and it can be killed at any time.
What it is to do, how the cameras do and all access units come as pickles through standard input; through standard
output it says in lines what it wants. Loads neither torch nor anything of the pipeline.
"""

import asyncio
import pickle
import socket
import sys
import threading
from collections.abc import Mapping
from typing import IO, Any

import uvicorn

from vsr.http_safety import OwnHosts, PromptProtocol
from vsr.live.serving.access_units import AccessUnit
from vsr.live.viewing.view import View
from vsr.live.viewing.viewer_app import viewer_app
from vsr.live.viewing.viewer_guard import ViewerGuard
from vsr.live.viewing.viewing_order import ViewingOrder
from vsr.live.viewing.whep import WhepSessions

_LOOK_S = 1.0
_MOST_AHEAD = 32
"""Units that are read and not yet taken."""
_VIEWS = ("enhanced", "original")


class Viewing:
    """All views, and what they get. Belongs to the event loop."""

    def __init__(self) -> None:
        self.health: Mapping[str, Any] = {}
        self._views: dict[str, View] = {}
        self._numbers: dict[int, str] = {}
        self._next = 1

    def view(self, camera: str, which: str) -> View:
        """Find a view.

        Raises:
            LookupError: there is no such camera, or view.
        """
        if camera not in self.health.get("cameras", {}) or which not in _VIEWS:
            raise LookupError(camera)
        name = camera if which == "enhanced" else f"{camera}/{which}"
        if name not in self._views:
            self._views[name] = View(lambda wanted: self._want(name, wanted))
        return self._views[name]

    def _want(self, name: str, wanted: bool) -> None:
        """Ask for units, by a number that was never used before, or for no more."""
        if wanted:
            self._numbers[self._next] = name
            _say(f"want {self._next} {name}")
            self._next += 1
            return
        for number in [one for one, of in self._numbers.items() if of == name]:
            del self._numbers[number]
            _say(f"leave {number}")

    def take(self, number: int, told: object) -> None:
        """Take what the parent says: 0 and how the cameras do; else a unit of what was asked for, None at its end."""
        if number == 0:
            assert isinstance(told, dict)
            self.health = told
        elif (view := self._views.get(self._numbers.get(number, ""))) is not None:
            if isinstance(told, AccessUnit):
                view.put(told)
            else:
                del self._numbers[number]
                view.ended()

    def close(self) -> None:
        """Let nobody wait any more."""
        for view in self._views.values():
            view.close()

    async def look_after(self) -> None:
        """End what nobody watches any more, for ever."""
        while True:
            await asyncio.sleep(_LOOK_S)
            for view in self._views.values():
                view.look_after()


def _say(line: str) -> None:
    """Say a line."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def serve(order: ViewingOrder, listening: socket.socket, source: IO[bytes]) -> None:
    """Serve until standard input ends."""
    viewing, sessions, loop = Viewing(), WhepSessions(), asyncio.get_running_loop()
    app = viewer_app(viewing.view, lambda: viewing.health, sessions, order.addresses)
    guarded = ViewerGuard(app, OwnHosts(order.host, order.allow_host), order.token_hash)
    server = uvicorn.Server(
        uvicorn.Config(
            guarded,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            http=PromptProtocol,
        )
    )

    def end() -> None:
        server.should_exit = True
        viewing.close()

    room = threading.Semaphore(_MOST_AHEAD)

    def take(number: int, told: object) -> None:
        room.release()
        viewing.take(number, told)

    def read() -> None:
        try:
            while True:
                number, told = pickle.load(source)
                room.acquire()  # or all that a busy machine has no time for would wait here, where nothing is dropped
                loop.call_soon_threadsafe(take, number, told)
        except (EOFError, pickle.UnpicklingError):
            loop.call_soon_threadsafe(end)

    threading.Thread(target=read, name="vsr-viewing-read", daemon=True).start()
    looking = asyncio.create_task(viewing.look_after())
    await server.serve(sockets=[listening])
    looking.cancel()
    await sessions.close()


def main() -> int:
    """Do what standard input says; the exit code is 0 where it came to its end."""
    source = sys.stdin.buffer
    order: ViewingOrder = pickle.load(source)
    with socket.socket(fileno=order.listening) as listening:
        asyncio.run(serve(order, listening, source))
    return 0


if __name__ == "__main__":
    sys.exit(main())
