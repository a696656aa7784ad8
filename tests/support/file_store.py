"""A store of files by HTTP, as signed addresses lead to: GET gives, PUT takes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileStore(ThreadingHTTPServer):
    """Its files by path. What ends in `/cut` is told to be twice as long; `/elsewhere` leads to `leads_to`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.leads_to = ""

    def at(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}?signature=secret"


class _Handler(BaseHTTPRequestHandler):
    server: FileStore

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(f"GET {self.path}")
        data = self.server.files.get(path.removesuffix("/cut"))
        if path == "/elsewhere":
            return self._answer(302, Location=self.server.leads_to)
        if data is None:
            return self._answer(403)
        self._answer(200, Content_Length=str(len(data) * (2 if path.endswith("/cut") else 1)))
        self.wfile.write(data)
        return None

    def do_PUT(self) -> None:
        self.server.asked.append(f"PUT {self.path}")
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/full"):
            return self._answer(507)
        self.server.files[self.path.partition("?")[0]] = data
        return self._answer(200)

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def file_store() -> Iterator[FileStore]:
    with FileStore() as store:
        threading.Thread(target=store.serve_forever, daemon=True).start()
        yield store
        store.shutdown()
