"""`vsr serve` as a process of its own."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.archives import wait_until
from support.processes import begin_command
from support.web_server import WebServer, free_port


@contextmanager
def container(folder: Path, *words: str | Path, env: Mapping[str, str] = {}) -> Iterator[WebServer]:
    """A container that is ready, while the block runs; it ends as one that SIGTERM ends."""
    address = ["--port", str(free_port()), "--host", "127.0.0.1"]
    process = begin_command("serve", *address, *words, log=folder / "log", env=env)
    server = WebServer(process, f"http://127.0.0.1:{address[1]}", folder / "log")
    wait_until(lambda: _is_ready(server))
    try:
        yield server
    finally:
        began = time.monotonic()
        assert server.end() == 0, server.log.read_text()  # told twice where the block has
        assert time.monotonic() - began < 30


def _is_ready(server: WebServer) -> bool:
    assert server.process.is_alive(), server.log.read_text()
    try:
        return server.send("GET", "/ping")[0] == 200
    except OSError:
        return False
