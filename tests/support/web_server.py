"""`vsr web` as a process of its own, and what asks it."""

import http.client
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from support.processes import begin_command, forks, lives

from vsr.web.client import Client


@dataclass
class WebServer:
    """A server that runs."""

    process: forks.Process
    address: str
    log: Path
    token: str = ""

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc

    @property
    def client(self) -> Client:
        return Client(self.address, self.token)

    def send(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict, bytes]:
        """One request, as it stands: status, headers by small letters, body."""
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def end(self, *, kill: bool = False) -> int | None:
        """End it, and wait; returns its exit code."""
        (self.process.kill if kill else self.process.terminate)()
        self.process.join(40)
        assert not lives(self.process.pid)
        return self.process.exitcode


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def begin_web(folder: Path, *words: str) -> WebServer:
    """Start a server on a free port, with its files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"log-{time.monotonic_ns()}"
    process = begin_command("web", "--port", "0", "--data", folder / "data", *words, log=log)
    until = time.monotonic() + 60
    while time.monotonic() < until and process.is_alive():
        said = log.read_text() if log.exists() else ""
        if found := re.search(r"vsr web is at (\S+?)/;", said):
            token = re.search(r"token: (\S+)", said)
            return WebServer(process, found[1], log, token[1] if token else "")
        time.sleep(0.02)
    raise AssertionError(log.read_text() if log.exists() else "nothing was said")


@contextmanager
def web(folder: Path, *words: str) -> Iterator[WebServer]:
    """A server while the block runs."""
    server = begin_web(folder, *words)
    try:
        yield server
    finally:
        if server.process.is_alive():
            server.end()
