"""`vsr web`: from its options to a server that runs until it is told to end."""

import contextlib
import socket
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

import uvicorn

from vsr.errors import ConfigError
from vsr.http_safety import PromptProtocol, token_hash
from vsr.live import LiveOptions, exposed_files, read_options
from vsr.web.apart import warm_up
from vsr.web.app import make_app
from vsr.web.cameras.camera_process import CameraProcess
from vsr.web.data_folder import DataFolder
from vsr.web.guard import Guard
from vsr.web.record_key import told_key
from vsr.web.store import Store
from vsr.web.tokens import Tokens
from vsr.web.web_options import WebOptions
from vsr.web.workshop import Workshop

_END_WITHIN_S = 5
"""How long a request may still take when the server is told to end."""


def serve_web(options: WebOptions, tell: Callable[[str], None], *, debug: bool = False) -> None:
    """Serve until SIGTERM or Ctrl-C. Jobs that are under way then wait for the next start.

    Args:
        options: how.
        tell: told where the page is, and a new token.
        debug: print what fails unexpectedly as a traceback.

    Raises:
        ConfigError: the data folder is held by another server, the port is taken, the token file is none, or the key
            cannot sign.
        SinkError: the data folder cannot be written.
    """
    if key := told_key(options.sign):
        tell(key)
    cameras = _cameras(options, tell)
    with contextlib.ExitStack() as stack:
        data = DataFolder(options.folder)
        stack.callback(data.close)
        store = Store(data.database)
        stack.callback(store.close)
        listening = stack.enter_context(_listen(options))
        address = _address(options, listening)
        hash = _hash(options, data, tell)
        workshop = Workshop(data, store, options, debug=debug, tell=tell)
        process = None if cameras is None or options.cameras_beside else CameraProcess(cameras)
        if process is not None:
            stack.callback(process.stop)
            process.start()
        app = make_app(workshop, Tokens(store, hash), cameras, process)
        tell(
            f"vsr web is at {address}; files are kept in {data.root}, for {options.keep} after their last change"
        )
        tell(
            "open it in a browser, or give --open; Ctrl-C ends the server, and what waits goes on at its next start"
        )
        threading.Thread(target=_warm_up, name="vsr-warm-up", daemon=True).start()
        if options.open:
            threading.Thread(target=_open, args=(address, tell), name="vsr-open", daemon=True).start()
        _Server(_config(app), workshop).run(sockets=[listening])


def _config(app: Guard) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # nothing of what is asked is written down
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_END_WITHIN_S,
        http=PromptProtocol,
        h11_max_incomplete_event_size=32 << 10,
    )


class _Server(uvicorn.Server):
    """Ends streams of events before it waits for requests to end."""

    def __init__(self, config: uvicorn.Config, workshop: Workshop):
        super().__init__(config)
        self._workshop = workshop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._workshop.bell.close()
        await super().shutdown(sockets)


def _cameras(options: WebOptions, tell: Callable[[str], None]) -> LiveOptions | None:
    """The cameras of the file that is named, if one is."""
    if not options.cameras:
        return None
    cameras = read_options(options.cameras)
    if options.cameras_beside and not cameras.metrics_port:
        raise ConfigError(
            f"{options.cameras} has no metrics_port, on which the vsr live beside tells how it does"
        )
    if cameras.watch.port and not options.cameras_beside:
        tell(
            f"note: {options.cameras} has a table [watch], which is for vsr live; these cameras are on this page"
        )
    for file in exposed_files(cameras, options.cameras):
        tell(f"warning: {file} holds credentials and others may read it; chmod 600 {file} keeps them out")
    return cameras


def _open(address: str, tell: Callable[[str], None]) -> None:
    """Open the page; it waits for the server, which listens already."""
    if not webbrowser.open(address):
        tell(f"no browser was found on this machine; open {address} in one")


def _warm_up() -> None:
    with contextlib.suppress(Exception):  # the first question says what is wrong
        warm_up()


def _listen(options: WebOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((options.host, options.port))
        listening.listen(256)
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"{options.host}:{options.port} cannot be listened on: {error.strerror}; name another --port or --host"
        ) from None
    return listening


def _address(options: WebOptions, listening: socket.socket) -> str:
    host = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(options.host, options.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}/"


def _hash(options: WebOptions, data: DataFolder, tell: Callable[[str], None]) -> str:
    """The hash of the token that is wanted; empty where none is."""
    if options.is_local and not options.token_file:
        return ""
    path = Path(options.token_file) if options.token_file else data.token_file
    hash, token = token_hash(path)
    if token:
        tell(f"token: {token} (shown this once; {path} keeps its hash)")
    return hash
