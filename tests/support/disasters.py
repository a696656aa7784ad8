"""What befalls a service that records and pushes: a full disk, servers that go away."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vsr.media import find_ffmpeg


class PushedServers:
    """Those that are pushed to, one a port. A context."""

    def __init__(self, ports: dict[str, int]):
        self._ports, self._under_way = ports, list[subprocess.Popen[bytes]]()

    def __enter__(self) -> "PushedServers":
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        self._under_way = [_listen(port) for port in self._ports.values()]

    def end(self) -> None:
        for server in self._under_way:
            server.kill()
            server.wait()


def _listen(port: int) -> subprocess.Popen[bytes]:
    source = ["-listen", "1", "-i", f"rtmp://127.0.0.1:{port}/live/x"]
    return subprocess.Popen(
        [find_ffmpeg(), "-v", "quiet", "-nostdin", *source, "-c", "copy", "-f", "null", "-"]
    )


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of its own at `folder`; needs root. What it holds is read before it goes."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


def fill_disk(file: Path) -> None:
    with file.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(1 << 16))
        except OSError:
            return
