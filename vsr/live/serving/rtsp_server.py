"""The RTSP server (RFC 2326): players pull what the hub has, by TCP or UDP. An event loop in a thread of its own.

A protocol as small as this is written here: GStreamer's server would come as Debian's packages, not for the Python
that runs us, and aiortc packetises for WebRTC alone. A player costs a task and a bounded queue.
"""

import asyncio
import contextlib
import logging
import socket
import threading
import time
from concurrent.futures import Future

from vsr.errors import ConfigError
from vsr.live.newest_wins import in_background
from vsr.live.serve_options import ServingOptions
from vsr.live.serving.hub import Hub
from vsr.live.serving.rtsp_connection import RtspConnection
from vsr.live.serving.rtsp_messages import MOST_HEADER
from vsr.live.serving.rtsp_session import Waker
from vsr.live.serving.rtsp_transports import UdpPorts, open_ports

log = logging.getLogger("vsr.live")

_MOST_PLAYERS = 256
_LOOK_S = 1.0
_LET_GO_S = 2.0


class RtspServer:
    """Serves a hub until it is closed.

    Args:
        hub: what there is to watch.
        options: where, and for whom.

    Raises:
        ConfigError: the port is taken, or the users cannot be read.
    """

    def __init__(self, hub: Hub, options: ServingOptions):
        self._hub, self._options = hub, options
        _ = options.users
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        try:
            self._listening = socket.create_server((options.host, options.port), family=family, backlog=64)
        except OSError as error:
            where = f"{options.host} port {options.port}"
            raise ConfigError(
                f"{where} cannot be opened for players: {error.strerror}; give another"
            ) from None
        self.port: int = self._listening.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ports: UdpPorts | None = None
        self._waker: Waker | None = None
        self._connections: set[RtspConnection] = set()
        self._listens = threading.Event()
        self._done: Future[None] = in_background(self._run, name="vsr-rtsp")
        while not self._listens.wait(0.05):
            if self._done.done():
                self._done.result()

    def close(self) -> None:
        """Let all players go and free the port. Harmless twice."""
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._stop.set)
        self._done.result()

    # What follows runs in the server's own thread.

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner, self._listening:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._waker = Waker()
        self._ports = await open_ports(self._options.host, self._heard)
        server = await asyncio.start_server(self._accept, sock=self._listening, limit=MOST_HEADER)
        self._listens.set()
        try:
            while not self._stop.is_set():
                for one in [*self._connections]:
                    one.look(time.monotonic())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _LOOK_S)
        finally:
            server.close()
            self._ports.close()
            await self._let_go()

    async def _let_go(self) -> None:
        for one in [*self._connections]:
            one.drop()
        until = time.monotonic() + _LET_GO_S
        while self._connections and time.monotonic() < until:
            await asyncio.sleep(0.01)

    def _heard(self, address: tuple[str, int]) -> None:
        for one in self._connections:
            one.heard(address)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._ports is not None
        assert self._waker is not None
        if len(self._connections) >= _MOST_PLAYERS:
            writer.close()
            return
        connection = RtspConnection(self._hub, self._options, self._ports, self._waker, writer)
        self._connections.add(connection)
        try:
            await connection.serve(reader)
        except (OSError, EOFError, asyncio.CancelledError):  # it has gone, or we have
            connection.drop()
        except Exception:
            log.exception("a player's connection failed", extra={"event": "error"})
        finally:
            self._connections.discard(connection)
            connection.close()
