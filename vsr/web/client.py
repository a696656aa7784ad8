"""A client of `vsr web` for programs: needs nothing but Python."""

import base64
import http.client
import json
import time
from collections.abc import Callable
from http.client import HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vsr.durable import whole, write_whole
from vsr.errors import VsrError

_PIECE = 16 << 20
_OVER = ("succeeded", "failed", "unverified", "canceled")


class WebError(VsrError):
    """What the server has refused, in its own line."""

    def __init__(self, status: int, detail: str):
        super().__init__(detail)
        self.status = status
        """Of HTTP."""


class Client:
    """A server, by its address. Every call raises `WebError` where it refuses, OSError where it is not there."""

    def __init__(self, address: str, token: str = "", *, timeout_s: float = 120.0):
        """Talk to `address`, such as `http://127.0.0.1:8000`, as whoever has `token`."""
        self._parts, self._timeout_s = urlsplit(address), timeout_s
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[HTTPMessage, bytes]:
        """Send one request; returns the answer's headers and bytes. A body that is not bytes goes as JSON."""
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._parts.netloc, timeout=self._timeout_s)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, bytes):
            body, given = json.dumps(body).encode(), given | {"Content-Type": "application/json"}
        try:
            connection.request(method, path, body, self._headers | given)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            kind_of_body = answer.headers.get("Content-Type", "")
            told = json.loads(content)["detail"] if kind_of_body.endswith("problem+json") else answer.reason
            raise WebError(answer.status, told)
        return answer.headers, content

    def get(self, path: str) -> Any:
        """What a path gives as JSON."""
        return json.loads(self.ask("GET", path)[1])

    def upload(self, path: Path, *, goes_on: str = "") -> str:
        """Bring a file, or go on with an upload of it; returns its id. Cut off, it can go on."""
        length, tus = path.stat().st_size, {"Tus_Resumable": "1.0.0"}
        if not goes_on:
            name = base64.b64encode(path.name.encode()).decode()
            about = {"Upload_Length": str(length), "Upload_Metadata": f"filename {name}"}
            goes_on = self.ask("POST", "/v1/uploads", **tus, **about)[0]["Location"].rpartition("/")[2]
        place = f"/v1/uploads/{goes_on}"
        offset = int(self.ask("HEAD", place, **tus)[0]["Upload-Offset"])
        kind = {"Content_Type": "application/offset+octet-stream"}
        with path.open("rb") as file:
            while offset < length:
                file.seek(offset)
                said = self.ask("PATCH", place, file.read(_PIECE), Upload_Offset=str(offset), **tus, **kind)
                offset = int(said[0]["Upload-Offset"])
        return goes_on

    def order(self, upload: str, **options: object) -> Any:
        """Order a job; options are the keys of an option file, and of a record. Returns it as `GET` does."""
        return json.loads(self.ask("POST", "/v1/jobs", {"upload": upload, "options": options})[1])

    def wait(self, job: str, tell: Callable[[Any], None] = lambda _: None, *, every_s: float = 0.5) -> Any:
        """Wait until a job is over; `tell` is given it each time it is looked at."""
        while True:
            tell(there := self.get(f"/v1/jobs/{job}"))
            if there["state"] in _OVER:
                return there
            time.sleep(every_s)

    def save(self, job: str, path: Path) -> None:
        """Write a job's result to a file."""
        with whole(path) as part, part.open("wb") as file:
            size = self.get(f"/v1/jobs/{job}")["result"]["bytes"]
            while (there := file.tell()) < size:
                last = min(there + _PIECE, size) - 1
                file.write(self.ask("GET", f"/v1/jobs/{job}/result", Range=f"bytes={there}-{last}")[1])

    def save_record(self, job: str, path: Path) -> None:
        """Write the ZIP of a job's record to a file."""
        write_whole(path, self.ask("GET", f"/v1/jobs/{job}/evidence")[1])

    def enhance(self, path: Path, out: Path, **options: object) -> Any:
        """Bring a file, have it enhanced, and write the result; returns the job.

        Raises:
            WebError: it has failed, with the line that the terminal would have shown.
        """
        job = self.wait(self.order(self.upload(path), **options)["id"])
        if job["state"] != "succeeded":
            raise WebError(422, job["error"] or f"the job was {job['state']}")
        self.save(job["id"], out)
        return job
