"""What serving costs and how late it is, on this machine as it is now; prints its figures:

VSR_FIGURES_S=20 VSR_FIGURES_MODEL=nano-x2 python -m pytest -n 0 -s -m slow tests/live/serving/test_serving_figures.py

A network that a machine can just bear alone lets no room for viewers; a lighter one shows what they cost.
"""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import av
import numpy as np
import pytest
from support.clips import ClipOptions, read_number, write_clip
from support.live_player import free_port
from support.rtsp import NUM_FRAMES

pytestmark = [pytest.mark.slow, pytest.mark.rtsp]

SPAN_S = float(os.environ.get("VSR_FIGURES_S", "15"))
"""How long each thing is measured."""
MODEL = os.environ.get("VSR_FIGURES_MODEL", "fast-x2")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def processor_s(pid: int) -> float:
    """Processor time of a process and its children, in seconds."""
    total = 0.0
    for task in [pid, *children(pid)]:
        fields = Path(f"/proc/{task}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) * TICK_S
    return total


def children(pid: int) -> list[int]:
    texts = (path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(child) for text in texts for child in text.split()]


class Shown:
    """Decodes the stream and notes when each picture can be seen, in a thread of its own."""

    def __init__(self, url: str):
        self.seen: list[tuple[int, float]] = []
        self._stop = threading.Event()
        self._url = url
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        options = {"rtsp_transport": "tcp", "fflags": "nobuffer", "probesize": "32", "analyzeduration": "0"}
        with av.open(self._url, options=options) as container:
            stream = container.streams.video[0]
            stream.thread_type = "SLICE"
            for picture in container.decode(stream):
                now = time.monotonic()
                self.seen.append((read_number(picture.to_ndarray()[: picture.height]), now))
                if self._stop.is_set():
                    return

    def close(self) -> None:
        self._stop.set()
        self._thread.join(30)


def lateness(seen: list[tuple[int, float]], times: Path) -> np.ndarray:
    """Milliseconds from the server's push of each picture to its being seen."""
    pushed: dict[int, list[float]] = {}
    for line in times.read_text().splitlines():
        _, number, when = line.split()
        pushed.setdefault(int(number), []).append(float(when))
    late = [now - max(t for t in pushed[n] if t <= now) for n, now in seen if pushed.get(n)]
    return np.array(late) * 1000


def health(port: int) -> dict:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
        return json.loads(answer.read())


def test_figures_of_one_camera_with_none_one_and_twenty_players(server, tmp_path):
    pytest.importorskip("prometheus_client")
    extra = {"bf": "0", "tune": "zerolatency", "x264-params": "aud=1:repeat-headers=1"}
    clip = ClipOptions(num_frames=NUM_FRAMES, size=(360, 640), gop=25, codec_options=extra)
    write_clip(tmp_path / "c.h264", clip)
    times, port, metrics = tmp_path / "times", free_port(), free_port()
    server.start(f"/c={tmp_path / 'c.h264'}", "--times", str(times))
    command = [sys.executable, "-m", "vsr", "live", server.url("/c"), "--name", "door", "--model", MODEL]
    command += ["--serve", str(port), "--metrics", str(metrics)]
    with ExitStack() as opened:
        live = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        opened.callback(live.wait, 120)
        opened.callback(live.terminate)
        wait_for_playing(metrics)

        def measured(what: str) -> float:
            before, rung = processor_s(live.pid), health(metrics)["rung"]
            time.sleep(SPAN_S)
            cores, after = (processor_s(live.pid) - before) / SPAN_S, health(metrics)
            camera = after["cameras"]["door"]
            late = f"{camera['latency_p95_ms']} ms to the encoder"
            print(f"\n{what}: {cores:.3f} cores, {camera['fps_out']} fps, {late}, {rung} → {after['rung']}")
            return cores

        measured("nobody watches")
        shown = Shown(f"rtsp://127.0.0.1:{port}/door")
        opened.callback(shown.close)
        while len(shown.seen) < 25:
            time.sleep(0.1)
        shown.seen.clear()
        one = measured("one player")
        late = lateness([*shown.seen], times)
        p50, p95, most = np.percentile(late, [50, 95, 100])
        print(
            f"{len(late)} pictures, from the push to decoded: p50 {p50:.0f} ms, p95 {p95:.0f}, most {most:.0f}"
        )
        with ExitStack() as more:
            for _ in range(19):
                more.callback(drain(port))
            time.sleep(3)  # processes start
            twenty = measured("twenty players")
        one = (one + measured("one player again")) / 2
        print(f"nineteen more players: {(twenty / one - 1) * 100:+.1f} % of processor time")
    assert len(late) > SPAN_S
    assert twenty < 3 * one


def wait_for_playing(metrics: int) -> None:
    end = time.monotonic() + 120
    while True:
        assert time.monotonic() < end
        try:
            if health(metrics)["cameras"]["door"]["fps_out"] > 5:
                return
        except OSError:
            pass
        time.sleep(0.5)


def drain(port: int):
    """A player that reads and forgets, in a process of its own; returns what ends it."""
    code = "import sys; from support.rtsp_player import Player; p = Player(int(sys.argv[1])); p.play()\n"
    code += "while p.socket.recv(1 << 20): pass"
    paths = os.pathsep.join(sys.path)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(port)], env={**os.environ, "PYTHONPATH": paths}
    )

    def end() -> None:
        process.kill()
        process.wait()

    return end
