"""A real HTTP server that gives out files, can go on in the middle of one, and misbehaves as it is told to."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class HttpShelf:
    """What is given out, and how; change it while the server runs."""

    files: dict[str, bytes]
    address: str = ""
    """Such as `http://127.0.0.1:40123`."""
    cuts: list[int] = field(default_factory=list)
    """Bytes after which one answer each breaks off; the first answer takes the first of them."""
    ranges: bool = True
    """Whether the server goes on in the middle of a file."""
    moved: dict[str, str] = field(default_factory=dict)
    """Paths that lead to other addresses."""
    codes: list[int] = field(default_factory=list)
    """Answered instead of the file, one request each."""
    before_body: Callable[[], object] = lambda: None
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and range of each request so far."""


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[HttpShelf]:
    """Serve files on this machine while the block runs."""
    shelf = HttpShelf(files)

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, shelf)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    shelf.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield shelf
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(to: BaseHTTPRequestHandler, shelf: HttpShelf) -> None:
    path, wanted = urlsplit(to.path).path, to.headers.get("Range", "")
    shelf.asked.append((path, wanted))
    code = (
        shelf.codes.pop(0)
        if shelf.codes
        else 302
        if path in shelf.moved
        else 200
        if path in shelf.files
        else 404
    )
    if code != 200:
        to.send_response(code)
        if code == 302:
            to.send_header("Location", shelf.moved[path])
        to.send_header("Content-Length", "0")
        to.end_headers()
        return
    content, begin = shelf.files[path], 0
    if wanted and shelf.ranges:
        begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if begin >= len(content):
            to.send_response(416)
            to.send_header("Content-Length", "0")
            to.end_headers()
            return
        to.send_response(206)
        to.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
    else:
        to.send_response(200)
    body = content[begin:]
    to.send_header("Content-Length", str(len(body)))
    to.send_header("Content-Type", "application/octet-stream")
    to.end_headers()
    shelf.before_body()
    to.wfile.write(body[: shelf.cuts.pop(0)] if shelf.cuts else body)
