"""How late a browser shows what a camera sends, read from the pixels: by WebRTC, by the page's HLS and by hls.js.

    cd tests && python -m support.watch_delays --seconds 60 --hls-js hls.min.js --viewers 20

A camera of 640x360 at 25 fps whose pictures show their numbers is served by GStreamer's RTSP server, enhanced by `vsr
live --watch` and watched in Chromium, all on this machine. A delay is counted from when the server pushed a picture to
when Chromium presents it. Printed are delays of each way, how soon pictures are back after the camera has been away for
three seconds, the processor time of `vsr live` itself, of its encoder and
of the page's process while nobody, one and many watch, and how often the ladder has moved.
"""

import argparse
import bisect
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from support.browser import browsing, opened
from support.clips import ClipOptions, write_clip
from support.hls_rules import read_playlist
from support.live_player import free_port
from support.rtsp import Server
from support.seen_frames import HLS_JS, seen_frames, watch_frames
from support.units import AS_LIVE

MEANT = (404, 409, 503)
PATIENCE_S = 180.0


def get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=60) as answer:
        return answer.read().decode()


def sent_at(log: Path) -> dict[int, list[float]]:
    """When each picture was pushed, by `time.time()`."""
    offset, times = time.time() - time.monotonic(), defaultdict[int, list[float]](list)
    for line in log.read_text().splitlines():
        if len(words := line.split()) == 3:
            times[int(words[1])].append(float(words[2]) + offset)
    return times


def delays(page: Any, log: Path, since_s: float) -> list[float]:
    """Of the pictures seen since then, in order of size."""
    sent, made = sent_at(log), list[float]()
    for when, number, _ in seen_frames(page):
        at = bisect.bisect(sent[number], when) - 1
        if when > since_s and at >= 0:
            made.append(when - sent[number][at])
    return sorted(made)


def processor_s(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def used(pid: int) -> dict[str, float]:
    """Processor time of `vsr live` and of its children, by what they are."""
    made = {"vsr live": processor_s(pid)}
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            made["the page" if b"vsr.live.viewing" in words else "the encoder"] = processor_s(int(child))
    return made


def percent(pid: int, seconds: float) -> str:
    before = used(pid)
    time.sleep(seconds)
    after = used(pid)
    return ", ".join(
        f"{name} {100 * (after[name] - before.get(name, 0)) / seconds:.0f} %" for name in sorted(after)
    )


@contextmanager
def hls_viewers(count: int, playlist: str) -> Iterator[None]:
    """So many viewers who fetch every part as it comes, over a connection of their own each, as browsers do."""
    over, address = threading.Event(), urllib.parse.urlsplit(playlist)

    def watch() -> None:
        query, done = "", set[str]()
        with closing(HTTPConnection(address.netloc, timeout=60)) as connection:

            def fetched(path: str) -> bytes:
                connection.request("GET", path)
                return connection.getresponse().read()

            while not over.is_set():
                now = read_playlist(fetched(address.path + query).decode(), least=0.0)
                for name in set(now.pieces[-5:]) - done:
                    fetched(address.path.replace("live.m3u8", name))
                    done.add(name)
                open_parts = now.segments[-1].parts if not now.segments[-1].name else []
                query = f"?_HLS_msn={now.sequence + len(now.whole)}&_HLS_part={len(open_parts)}"

    threads = [threading.Thread(target=watch, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@dataclass(frozen=True)
class WatchedCamera:
    """A camera that `vsr live` shows."""

    page: str
    """Address, as that of `metrics`."""
    metrics: str
    pid: int
    """Process number of `vsr live`."""
    log: Path
    """Of what the camera's server has sent."""
    start: Callable[[], object]
    stop: Callable[[], None]
    """Of the camera's server."""


def back_after_a_restart(page: Any, camera: WatchedCamera, away_s: float = 3.0) -> float:
    """Let the camera go and come back; return how many seconds after it can be reached a new picture is seen."""
    camera.stop()
    time.sleep(away_s)
    began_s = time.time()
    camera.start()
    ready_s = time.time()
    # While it is away the last picture stands in, whose number may be sent again.
    stale = {number for when, number, _ in seen_frames(page) if began_s - 1 < when}
    end = time.monotonic() + PATIENCE_S
    while True:
        sent = {
            number: when for number, times in sent_at(camera.log).items() if (when := times[-1]) > began_s
        }
        new = [
            when
            for when, number, _ in seen_frames(page)
            if sent.get(number, when) < when and number not in stale
        ]
        if new:
            return new[0] - ready_s
        assert time.monotonic() < end, "no picture comes back"
        time.sleep(0.1)


@contextmanager
def watched_camera(folder: Path, model: str) -> Iterator[WatchedCamera]:
    """A camera of 640x360 at 25 fps that is watched and served."""
    extra = {**AS_LIVE, "x264-params": "aud=1:repeat-headers=1"}
    write_clip(folder / "a.h264", ClipOptions(num_frames=250, size=(360, 640), gop=25, codec_options=extra))
    server, log = Server(folder), folder / "times.txt"
    start = partial(server.start, f"/a={folder}/a.h264", "--times", str(log))
    start()
    page, metrics = free_port(), free_port()
    words = [
        "live",
        server.url("/a"),
        "--watch",
        page,
        "--metrics",
        metrics,
        "--model",
        model,
        "--log",
        "json",
    ]
    with open(folder / "live.log", "w") as said:
        command = [sys.executable, "-m", "vsr", *map(str, words), "--device", "cpu"]
        live = subprocess.Popen(command, stdout=said, stderr=said)
    at = "127.0.0.1"
    try:
        pages = f"http://{at}:{page}/", f"http://{at}:{metrics}/metrics"
        yield WatchedCamera(*pages, live.pid, log, start, server.kill)
    finally:
        live.terminate()
        live.wait(PATIENCE_S)
        server.kill()


def await_playing(address: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            if '"state": "playing"' in get(f"{address}cameras"):
                return
        except OSError:
            pass
        assert time.monotonic() < end, "the camera does not play"
        time.sleep(0.2)


@contextmanager
def watching(address: str, way: str, hls_js: str = "") -> Iterator[Any]:
    """A page on which the first camera's enhanced pictures are seen by `whep`, by `parts` or by `hls.js`."""
    with browsing(refusals=MEANT) as context:
        page = opened(context, address)
        page.select_option("#way", "whep" if way == "whep" else "parts")
        if way == "hls.js":
            page.evaluate(Path(hls_js).read_text(encoding="utf-8") + "\n;0")
            page.evaluate(HLS_JS, "/cameras/camera/enhanced/live.m3u8")
        else:
            page.locator(".by:not(:empty)").wait_for()
        watch_frames(page)
        yield page


def measure(seconds: float, *, hls_js: str, viewers: int, model: str) -> None:
    """Print all figures."""
    with tempfile.TemporaryDirectory() as folder, watched_camera(Path(folder), model) as camera:
        await_playing(camera.page)
        print(f"nobody watches: {percent(camera.pid, min(seconds, 10))}")
        for way in ("whep", "parts", *(["hls.js"] if hls_js else [])):
            with watching(camera.page, way, hls_js) as page:
                page.wait_for_timeout(5000)
                since_s = time.time()
                page.wait_for_timeout(1000 * seconds)
                got = delays(page, camera.log, since_s)
                middle, high = (1000 * got[int(part * len(got))] for part in (0.5, 0.95)) if got else (0, 0)
                print(f"{way}: {len(got)} pictures, {middle:.0f} ms (p95 {high:.0f}) from the server's push")
                print(f"{way}: back {back_after_a_restart(page, camera):.2f} s after the camera", flush=True)
        print(f"one has watched until now: {percent(camera.pid, min(seconds, 8))}")
        with hls_viewers(viewers, f"{camera.page}cameras/camera/enhanced/live.m3u8"):
            time.sleep(3)
            print(f"{viewers} watch by HLS: {percent(camera.pid, min(seconds, 10))}")
        changes = re.search(r"^vsr_rung_changes_total (\S+)", get(camera.metrics), re.MULTILINE)
        print(f"the ladder has moved {float(changes[1]) if changes else 0:.0f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--hls-js", default=os.environ.get("VSR_HLS_JS", ""))
    parser.add_argument("--viewers", type=int, default=20)
    parser.add_argument("--model", default="fast-x2")
    given = parser.parse_args()
    measure(given.seconds, hls_js=given.hls_js, viewers=given.viewers, model=given.model)


if __name__ == "__main__":
    main()
