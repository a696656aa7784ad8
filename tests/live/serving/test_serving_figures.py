"""What serving costs and how late it is, on this machine as it is now; prints its figures:

VSR_FIGURES_S=20 VSR_FIGURES_MODEL=nano-x2 python -m pytest -n 0 -s -m slow tests/live/serving/test_serving_figures.py

A network that a machine can just bear alone lets no room for viewers; a lighter one shows what they cost.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from support.clips import ClipOptions, read_number, write_clip
from support.live_player import free_port
from support.rtsp import NUM_FRAMES
from support.rtsp_player import Player

pytestmark = [pytest.mark.slow, pytest.mark.rtsp]

SPAN_S = float(os.environ.get("VSR_FIGURES_S", "5"))
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
    """Decodes what a player gets and notes when each picture can be seen, in a thread of its own.

    Args:
        pictures: yields decoded pictures from the player's opening on, and closes it with itself.
    """

    def __init__(self, pictures: Generator[av.VideoFrame]):
        self.seen: list[tuple[int, float]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(pictures,))
        self._thread.start()

    def _watch(self, pictures: Generator[av.VideoFrame]) -> None:
        with closing(pictures):
            for picture in pictures:
                now = time.monotonic()
                self.seen.append((read_number(picture.to_ndarray()[: picture.height]), now))
                if self._stop.is_set():
                    return

    def begin(self) -> None:
        """Wait until it runs, and forget what it has seen by then."""
        while len(self.seen) < 25:
            assert self._thread.is_alive()
            time.sleep(0.1)
        self.seen.clear()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(30)


def by_ffmpeg(port: int) -> Generator[av.VideoFrame]:
    """What FFmpeg shows: each picture when the next one begins, since its parser looks for that."""
    options = {"rtsp_transport": "tcp", "fflags": "nobuffer", "probesize": "32", "analyzeduration": "0"}
    with av.open(f"rtsp://127.0.0.1:{port}/door", options=options) as container:
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"
        yield from container.decode(stream)


def by_marker(port: int) -> Generator[av.VideoFrame]:
    """What players show that know by RTP's marker when a picture is whole (RFC 6184, 5.1), as GStreamer's do."""
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_type = "SLICE"
    with closing(Player(port)) as player:
        player.play()
        while True:
            yield from decoder.decode(av.Packet(player.picture()))


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


def moves(port: int) -> int:
    """How often the ladder has moved."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        found = re.search(r"^vsr_rung_changes_total (\S+)$", answer.read().decode(), re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


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
            before, moved = processor_s(live.pid), moves(metrics)
            time.sleep(SPAN_S)
            cores, after = (processor_s(live.pid) - before) / SPAN_S, health(metrics)
            camera, moved = after["cameras"]["door"], moves(metrics) - moved
            late = f"{camera['latency_p95_ms']} ms to the encoder"
            print(f"\n{what}: {cores:.3f} cores, {camera['fps_out']} fps, {late}")
            print(f"the ladder moved {moved} times, to {after['rung']}")
            return cores

        def watched(pictures: Generator[av.VideoFrame], what: str) -> tuple[float, np.ndarray]:
            with closing(Shown(pictures)) as shown:
                shown.begin()
                cores = measured(what)
                late = lateness([*shown.seen], times)
            p50, p95, most = np.percentile(late, [50, 95, 100])
            told = f"p50 {p50:.0f} ms, p95 {p95:.0f}, most {most:.0f}"
            print(f"{len(late)} pictures, from the push to decoded: {told}")
            return cores, late

        measured("nobody watches")
        _, late = watched(by_ffmpeg(port), "one player, FFmpeg")
        moved = moves(metrics)
        one, sooner = watched(by_marker(port), "one player, by the marker")
        with crowd(port, 19):
            twenty, _ = watched(by_marker(port), "twenty players")
        again, _ = watched(by_marker(port), "one player again")
        one = (one + again) / 2
        print(f"nineteen more players: {(twenty / one - 1) * 100:+.1f} % of processor time")
        if moves(metrics) > moved:
            print("the ladder moved meanwhile, which changes more than players do: not to be compared")
    assert min(len(late), len(sooner)) > SPAN_S
    assert twenty < 3 * one


def wait_for_playing(metrics: int) -> None:
    end = time.monotonic() + 120
    while True:
        assert time.monotonic() < end
        try:
            if health(metrics)["cameras"]["door"]["fps_in"] > 5:
                return
        except OSError:
            pass
        time.sleep(0.5)


@contextmanager
def crowd(port: int, number: int) -> Generator[None]:
    """So many players in one process, all of them served: what they take to start is over."""
    command = [sys.executable, "-m", "support.rtsp_crowd", str(port), str(number)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.stdin.close()
            process.kill()
