"""Eight cameras with quirks drawn by lot, through `vsr live` for as long as one likes, and what came of it.

    cd tests && python -m support.soak --minutes 60 --seed 7
    cd tests && python -m support.soak --minutes 8 --disasters   # the disk full twice, every output server restarted

Says how it does twice a minute and ends with a report as JSON; exit code 1 where something is not as it should be.
"""

import argparse
import json
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.disasters import PushedServers, fill_disk, small_disk
from support.live_player import free_port
from support.live_process import LiveProcess
from support.quirk_lot import DrawnCamera, draw_cameras, write_clips
from support.recordings import Recorded, read_recordings

_LOOK_S, _SAY_S = 0.25, 30.0
_HOLE_S = 1.0
_CLOCK = 0.001
"""How far all recordings together may be off the clock; a second where that is more, for begin and end."""
_AV_S = {True: 0.1, False: 0.3}
"""How far sound may be off, where a camera tells what its times mean, and where it does not."""
_GROWTH = {"rss_mb": 1.05, "threads": 1.05, "descriptors": 1.05, "children": 1.05}
"""How much more there may be in the last quarter than in the second."""
_DISASTERS = (0.25, "disk"), (0.5, "servers"), (0.75, "disk")
"""When in a run something happens, as a part of it."""
_OUTAGE_S = 10.0


@dataclass
class Watched:
    """A camera's pictures as they come out of the engine, seen from outside."""

    frames: int = 0
    since_s: float = 0.0
    """When the last one was new."""
    begun_s: float = 0.0
    longest_hole_s: float = 0.0
    hole_seen_s: float = 0.0
    """When it was as long as that."""

    def look(self, frames: int, sends_since_s: float | None, now: float) -> None:
        """Take note of how many there are. A camera that sends nothing is to blame itself."""
        if frames > self.frames:
            self.begun_s = self.begun_s or now
            self.frames, self.since_s = frames, now
        elif sends_since_s is not None:
            hole_s = now - max(self.since_s, sends_since_s)
            if hole_s > self.longest_hole_s:
                self.longest_hole_s, self.hole_seen_s = hole_s, now


@dataclass(frozen=True)
class SoakOptions:
    """One run."""

    seconds: float
    seed: int
    num_cameras: int = 8
    disasters: bool = False
    """Fill the disk twice, which needs root for a small one of its own, and restart every output server."""
    segment_s: float = 60.0
    """Of recordings."""


@dataclass
class _Seen:
    """What has been seen so far."""

    cameras: dict[str, Watched]
    settled_s: float = 0.0
    """When all outputs ran for the first time."""
    resources: list[dict[str, int]] = field(default_factory=list[dict[str, int]])
    full_s: float = 0.0
    """How long recordings could not go on."""
    news: list[str] = field(default_factory=list[str])


class Soak:
    """One run.

    Args:
        folder: for clips, recordings and the log.
        options: what is to be done.
        say: is told now and then how it does.
    """

    def __init__(self, folder: Path, options: SoakOptions, say: Callable[[str], None] = print):
        self._folder, self._options, self._say = folder, options, say
        self._recordings = folder / "recordings"
        self._recordings.mkdir()
        self.cameras = draw_cameras(options.num_cameras, write_clips(folder), options.seed)
        self._seen = _Seen({camera.name: Watched() for camera in self.cameras})
        self._ports = {camera.name: free_port() for camera in self.cameras} if options.disasters else {}

    def run(self) -> dict[str, Any]:
        """Play, and return the report."""
        with ExitStack() as opened:
            if self._options.disasters:
                opened.enter_context(small_disk(self._recordings))
            for camera in self.cameras:
                opened.enter_context(camera.server)
            self._servers = opened.enter_context(PushedServers(self._ports))
            config = self._folder / "cameras.toml"
            config.write_text(_configuration(self.cameras, self._recordings, self._ports, self._options))
            live = self._live = opened.enter_context(LiveProcess(config, self._folder / "live.log"))
            self._wait(self._all_run, 600, "not all outputs came to run")
            self._begin()
            self._watch()
            ended_s, (code, left) = time.monotonic(), live.end()
            return self._report(code, ended_s) | {"left behind": len(left)}

    def _begin(self) -> None:
        """All that was a hole so far was the start."""
        self._seen.settled_s = time.monotonic()
        for watched in self._seen.cameras.values():
            watched.longest_hole_s = 0.0

    def _watch(self) -> None:
        began = time.monotonic()
        due = list(_DISASTERS) if self._options.disasters else []
        next_s, next_say_s, stolen_s = began, began, _stolen_s()
        while (now := time.monotonic()) < began + self._options.seconds or not self._all_recorded():
            assert now < began + self._options.seconds + 600, "a camera has no recording"
            if now >= next_s:
                next_s = now + min(10.0, self._options.seconds / 20)
                self._seen.resources.append(self._live.resources())
            if now >= next_say_s:
                next_say_s = now + _SAY_S
                told = f"load {os.getloadavg()[0]:.1f}, {_stolen_s() - stolen_s:.1f} s taken by the host"
                stolen_s = _stolen_s()
                self._say(f"{now - began:6.0f} s  {self._seen.resources[-1]}  {told}")
            if due and now >= began + due[0][0] * self._options.seconds:
                self._befall(due.pop(0)[1])
            self._look()

    def _look(self) -> None:
        """See what each camera has come to, and let some time pass."""
        assert self._live.is_alive, self._live.log.read_text()[-3000:]
        frames = self._live.frames()
        for camera in self.cameras if frames else ():
            now = time.monotonic()
            seen = self._seen.cameras[camera.name]
            seen.look(frames.get(camera.name, 0), camera.sends_since_s(now), now)
        time.sleep(_LOOK_S)

    def _wait(self, done: Callable[[], bool], within_s: float, otherwise: str) -> float:
        """Look on until something is so; returns how long that took."""
        began = time.monotonic()
        while not done():
            assert time.monotonic() < began + within_s, f"{otherwise}: {self._live.outputs()}"
            self._look()
        return time.monotonic() - began

    def _states(self, kind: str) -> set[str]:
        return {output["state"] for _, output in self._live.outputs() if output["kind"] == kind}

    def _all_run(self) -> bool:
        return {output["state"] for _, output in self._live.outputs()} == {"running"}

    def _all_recorded(self) -> bool:
        return all(any((self._recordings / camera.name).glob("*.mkv")) for camera in self.cameras)

    def _befall(self, what: str) -> None:
        began = time.monotonic()
        if what == "disk":
            filler = self._recordings / "filler"
            fill_disk(filler)
            paused_s = self._wait(
                lambda: self._states("record") == {"paused"}, 60, "not all recordings pause"
            )
            self._wait(lambda: time.monotonic() > began + _OUTAGE_S, 2 * _OUTAGE_S, "")
            filler.unlink()
            back_s = self._wait(lambda: self._states("record") == {"running"}, 60, "not all record again")
            self._seen.full_s += time.monotonic() - began
            told = f"the disk was full: all recordings paused after {paused_s:.1f} s"
        else:
            self._servers.end()
            self._wait(lambda: time.monotonic() > began + _OUTAGE_S, 2 * _OUTAGE_S, "")
            self._servers.begin()
            back_s = self._wait(
                lambda: self._states("rtmp") == {"running"}, 120, "not all are pushed to again"
            )
            told = f"all servers were away for {_OUTAGE_S:.0f} s"
        self._seen.news.append(f"{told}, all went on {back_s:.1f} s after its end")
        self._say(self._seen.news[-1])

    def _report(self, code: int, ended_s: float) -> dict[str, Any]:
        taken = resource.getrusage(resource.RUSAGE_CHILDREN)
        wrong = [] if code == 0 else [f"exit code {code}"]
        cameras: dict[str, Any] = {}
        for camera in self.cameras:
            told, bad = self._judged(camera, ended_s)
            cameras[f"{camera.name}, {camera.kind}"] = told
            wrong += [f"{camera.name} ({camera.kind}): {what}" for what in bad]
        growth, bad = _growth(self._seen.resources)
        return {
            "seed": self._options.seed,
            "seconds": round(ended_s - self._seen.settled_s),
            "cameras": cameras,
            "medians of the second and the last quarter": growth,
            "events": dict(Counter(_kind_of(event) for event in self._live.events())),
            "news": self._seen.news,
            "cores taken": round((taken.ru_utime + taken.ru_stime) / (ended_s - self._seen.settled_s), 2),
            "load": [round(one, 1) for one in os.getloadavg()],
            "wrong": wrong + bad,
        }

    def _judged(self, camera: DrawnCamera, ended_s: float) -> tuple[dict[str, Any], list[str]]:
        """What there is to say of a camera, and what is not as it should be."""
        seen = self._seen.cameras[camera.name]
        settled_s = self._seen.settled_s - seen.begun_s + 1
        every = 5 if self._options.seconds > 600 else 1
        files = read_recordings(self._recordings / camera.name, settled_s=settled_s, every=every)
        clock_s = ended_s - seen.begun_s
        off_s = _off(files) if camera.has_sound else {}
        told = {
            "recorded_s": round(files.seconds, 2), "clock_s": round(clock_s, 2), "files": files.files,
            "longest_hole_s": round(seen.longest_hole_s, 2),
            "hole_seen_s": round(max(0.0, seen.hole_seen_s - self._seen.settled_s)),
            "longest_step_s": round(files.longest_step_s, 3),
            "sound_off_ms": {name: round(value * 1000) for name, value in off_s.items()},
            "pictures": files.pictures, "sounds compared": len(files.off_s), "sessions": camera.server.sessions,
        }  # fmt: skip
        most_s, wrong = max(1.0, _CLOCK * clock_s), list[str]()
        # What was not recorded while the disk was full is not asked for.
        if not -most_s < clock_s - files.seconds < most_s + self._seen.full_s:
            wrong.append(f"{files.seconds:.1f} s recorded in {clock_s:.1f} s")
        if seen.longest_hole_s > _HOLE_S:
            wrong.append(f"no picture for {seen.longest_hole_s:.1f} s while the camera sent some")
        if files.longest_step_s > _HOLE_S:
            wrong.append(f"a hole of {files.longest_step_s:.1f} s in a recording")
        if off_s and off_s["p95"] > _AV_S[camera.quirk.tells_time]:
            wrong.append(f"sound is off by {off_s['p95']:.3f} s")
        return told, wrong


def _off(files: Recorded) -> dict[str, float]:
    """How far sound is off, half of the time, most of the time and at worst; nothing where none could be compared."""
    off = sorted(map(abs, files.off_s))
    return {"p50": off[len(off) // 2], "p95": off[len(off) * 95 // 100], "most": off[-1]} if off else {}


def _growth(seen: list[dict[str, int]]) -> tuple[dict[str, list[float]], list[str]]:
    quarter = max(1, len(seen) // 4)
    parts = seen[quarter : 2 * quarter], seen[-quarter:]
    growth = {key: [statistics.median(one[key] for one in part) for part in parts] for key in _GROWTH}
    grown = [key for key, (before, after) in growth.items() if after > before * _GROWTH[key] + 1]
    return growth, [f"{key} grew from {growth[key][0]} to {growth[key][1]}" for key in grown]


def _stolen_s() -> float:
    """Processor time that a virtual machine's host has given to others so far, in seconds of one core."""
    return int(Path("/proc/stat").read_text().split()[8]) / os.sysconf("SC_CLK_TCK")


def _kind_of(event: dict[str, Any]) -> str:
    return " ".join(str(event[key]) for key in ("event", "kind", "state") if key in event)


def _configuration(
    cameras: list[DrawnCamera], recordings: Path, ports: dict[str, int], options: SoakOptions
) -> str:
    lines = ['models = ["nano"]', "latency_ms = 1000"]
    for camera in cameras:
        target = f'target = "{recordings}/{camera.name}"'
        outputs = [f'{{ kind = "record", {target}, segment_s = {options.segment_s}, min_free_gb = 0.002 }}']
        if camera.name in ports:
            outputs.append(f'{{ kind = "rtmp", target = "rtmp://127.0.0.1:{ports[camera.name]}/live/x" }}')
        lines += ["[[cameras]]", f'name = "{camera.name}"', f'url = "{camera.server.url}"']
        lines += ['encoder = "x264"', f"outputs = [{', '.join(outputs)}]"]
    return "\n".join(lines) + "\n"


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16))
    parser.add_argument("--disasters", action="store_true", help="fill a small disk (root), restart servers")
    parser.add_argument("--folder", type=Path, help="keep recordings and log in this new folder")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    options = SoakOptions(asked.minutes * 60, asked.seed, disasters=asked.disasters)
    with tempfile.TemporaryDirectory() as folder:
        kept = asked.folder or Path(folder) / "soak"
        kept.mkdir()
        report = Soak(kept, options, lambda text: print(text, flush=True)).run()
    print(json.dumps(report, indent=1))
    return 1 if report["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
