"""`vsr live` as a process of its own, and what it says and takes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from support.live_player import free_port
from support.processes import family, lives


class LiveProcess:
    """`vsr live` under way with a file of cameras. A context: leaving it kills what is left.

    Args:
        config: the file of cameras.
        log: file for what it says, a JSON object a line.
    """

    def __init__(self, config: Path, log: Path):
        self.log, self._port = log, free_port()
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "vsr", "live", str(config), "--metrics", str(self._port), "--log", "json"],
                stdout=out, stderr=out,
            )  # fmt: skip

    def __enter__(self) -> "LiveProcess":
        return self

    def __exit__(self, *_: object) -> None:
        left = family(self._process.pid)
        self._process.kill()
        self._process.wait()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def _get(self, path: str) -> str:
        """What the service answers; empty where it does not yet listen, or not in time."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=10) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.read().decode()
        except OSError:
            return ""

    def frames(self) -> dict[str, int]:
        """How many frames of each camera have been enhanced."""
        metric = re.compile(r'^vsr_camera_frames_enhanced_total{camera="([^"]+)"} (\S+)', re.MULTILINE)
        return {name: int(float(value)) for name, value in metric.findall(self._get("/metrics"))}

    def outputs(self) -> list[tuple[str, dict[str, Any]]]:
        """Each output as `/healthz` shows it, with its camera's name."""
        cameras = json.loads(self._get("/healthz") or "{}").get("cameras", {})
        return [(name, output) for name, camera in cameras.items() for output in camera["outputs"]]

    def resources(self) -> dict[str, int]:
        """What the service has of each now, and how many processes there are below it."""
        proc = Path(f"/proc/{self._process.pid}")
        figures = dict(re.findall(r"(VmRSS|Threads):\s+(\d+)", (proc / "status").read_text()))
        return {
            "rss_mb": int(figures["VmRSS"]) >> 10,
            "threads": int(figures["Threads"]),
            "descriptors": len(os.listdir(proc / "fd")),
            "children": len(family(self._process.pid)),
        }

    def events(self) -> Iterator[dict[str, Any]]:
        """What it has logged."""
        for line in self.log.read_text().splitlines():
            with suppress(ValueError):
                yield json.loads(line)

    def end(self, within_s: float = 60.0) -> tuple[int, set[int]]:
        """Tell it to finish; returns its exit code, and which of its processes have outlived it by seconds."""
        below, until = family(self._process.pid), time.monotonic() + within_s
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(within_s)
        while any(map(lives, below)) and time.monotonic() < until:
            time.sleep(0.05)
        return code, set(filter(lives, below))
