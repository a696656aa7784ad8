"""The process of a real RTSP server, `rtsp_server.py`, run by the system's Python with Debian's GStreamer."""

import signal
import subprocess
from pathlib import Path

SERVER = Path(__file__).with_name("rtsp_server.py")
PYTHON = "/usr/bin/python3"
NEEDS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
NUM_FRAMES = 150


class Server:
    """The server process; it keeps its port when it is started again."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.port = "0"
        self._process: subprocess.Popen[str] | None = None

    def start(self, *arguments: str) -> "Server":
        command = [PYTHON, str(SERVER), "--port", self.port, *arguments]
        with open(self.folder / "server.log", "a", encoding="utf-8") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        assert words[:1] == ["ready"], words
        self.port = words[1]
        return self

    def url(self, path: str = "/a", who: str = "") -> str:
        return f"rtsp://{who}127.0.0.1:{self.port}{path}"

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None
