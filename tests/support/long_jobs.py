"""Long jobs through the real command, and what they leave."""

import hashlib
import time
from fractions import Fraction
from pathlib import Path

import av
import pytest
from support.processes import forks

from vsr.cli.main import main, run
from vsr.durable import work_folder
from vsr.jobs.segments.journal import Journal
from vsr.jobs.segments.journal_records import Records, Segment, read_records

DEFAULTS = {"--segment": "0.8", "--model": "nano", "--threads": "1", "--preset": "ultrafast"}
"""Segments of 20 frames of 25 a second."""


def words(clip: Path, out: Path, *flags: str) -> list[str]:
    """The command; what is given instead of a default takes its place."""
    given = {*flags, *(["--preset"] if "--encoder" in flags else ())}
    rest = [word for name, value in DEFAULTS.items() if name not in given for word in (name, value)]
    return ["enhance", str(clip), "-o", str(out), "--quiet", *rest, *flags]


def begin(clip: Path, out: Path, *flags: str) -> forks.Process:
    """The command in a process of its own, which does not load torch anew."""
    process = forks.Process(target=main, args=(words(clip, out, *flags),))
    process.start()
    return process


def wait_for_segments(process: forks.Process, out: Path, count: int) -> None:
    """Until so many are in the journal; the process must still be at work."""
    while (found := read_records(work_folder(out))) is None or len(found.segments) < count:
        assert process.is_alive()
        time.sleep(0.01)


def enhance(clip: Path, out: Path, *flags: str) -> int:
    return run(words(clip, out, *flags))


def stopped(clip: Path, out: Path, *flags: str, segments: int = 3) -> Path:
    """Run the command and end it as Ctrl-C does when so many segments are in the journal; returns their folder."""
    add = Journal.add

    def add_and_stop(self, segment: Segment):
        add(self, segment)
        if len(self.segments) == segments:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Journal, "add", add_and_stop)
        assert enhance(clip, out, *flags) == 130
    return work_folder(out)


def contents(path: Path) -> tuple[list[tuple[Fraction, str]], list[tuple[Fraction, bytes]]]:
    """Time and hash of every decoded frame; time and bytes of every packet of sound."""
    with av.open(str(path)) as container:
        frames = [
            (frame.pts * frame.time_base, hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest())
            for frame in container.decode(video=0)
        ]
    with av.open(str(path)) as container:
        packets = container.demux(audio=0) if container.streams.audio else ()
        return frames, [(packet.pts * packet.time_base, bytes(packet)) for packet in packets if packet.size]


def records_of(out: Path) -> Records:
    found = read_records(work_folder(out))
    assert found is not None
    return found


def made_by(monkeypatch) -> dict[int, tuple[str, int, object]]:
    """What segments go to journals from now on: hash of the file, of the pictures, and the border after."""
    made, add = {}, Journal.add

    def adding(self, segment: Segment):
        made[segment.number] = (segment.sha256, segment.pictures, segment.next)
        add(self, segment)

    monkeypatch.setattr(Journal, "add", adding)
    return made
