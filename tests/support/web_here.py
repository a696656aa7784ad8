"""`vsr web` in this process, for tests that change what it knows."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import uvicorn
from support.archives import wait_until

from vsr.http_safety import PromptProtocol
from vsr.web.app import make_app
from vsr.web.client import Client
from vsr.web.data_folder import DataFolder
from vsr.web.store import Store
from vsr.web.tokens import Tokens
from vsr.web.web_options import WebOptions
from vsr.web.workshop import Workshop


@contextmanager
def served(folder: Path) -> Iterator[Client]:
    """A server in this process, which knows the catalogue that the test has made."""
    with closing(DataFolder(folder)) as data, closing(Store(data.database)) as store:
        app = make_app(Workshop(data, store, WebOptions()), Tokens(store, ""))
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, http=PromptProtocol))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield Client(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join()
