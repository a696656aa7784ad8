"""A disk that fails is no end of a file and no damage; what a file promises and does not give is told, or doubted."""

import errno
import os
import re
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from support.clips import run_ffmpeg

from vsr.archive.state import read_entries
from vsr.cli.main import run
from vsr.errors import ReadError, SourceError
from vsr.media import source_file
from vsr.media.probe_video import open_container, packets_of, probe
from vsr.media.reading.cut_off import is_cut_off
from vsr.media.reading.source import VideoSource

MakeClip = Callable[..., Path]
BICUBIC = ("--model", "bicubic", "--quiet")


class FailingDisk(FileIO):
    """A file of which nothing from a byte on can be read, so many times."""

    fails_from, times, tries = 0, 10**9, 0

    def read(self, size: int = -1) -> bytes:
        cls = FailingDisk
        if self.tell() + size > cls.fails_from and cls.tries < cls.times:
            cls.tries += 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(size)


@pytest.fixture
def fail_from(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def fail(share: float, clip: Path, times: int = 10**9) -> None:
        real = Path.open

        def opened(self: Path, *arguments: Any, **options: Any) -> Any:
            return FailingDisk(self) if self == clip else real(self, *arguments, **options)

        monkeypatch.setattr(source_file, "_PAUSES_S", (0.0, 0.0))
        monkeypatch.setattr(FailingDisk, "fails_from", int(clip.stat().st_size * share))
        monkeypatch.setattr(FailingDisk, "times", times)
        monkeypatch.setattr(FailingDisk, "tries", 0)
        monkeypatch.setattr(Path, "open", opened)

    return fail


def clip_of_noise(path: Path, *more: str) -> Path:
    """100 frames in some 500 kB."""
    run_ffmpeg("-f", "lavfi", "-i", "nullsrc=s=64x48:r=25:d=4,geq=random(1)*255:128:128", *more, path)
    return path


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts", "a.avi"])
def test_a_read_error_fails_and_leaves_no_result(tmp_path: Path, fail_from: Any, name: str):
    clip = clip_of_noise(tmp_path / name, *(("-movflags", "faststart") if name == "a.mp4" else ()))
    fail_from(0.5, clip)
    with pytest.raises(ReadError, match=r"Input/output error at byte \d+; the disk or network failed"):
        list(VideoSource(clip, threads=1).frames())
    assert run(["enhance", str(clip), "-o", str(tmp_path / "o.mkv"), *BICUBIC]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_a_drive_that_wakes_up_is_waited_for(tmp_path: Path, fail_from: Any):
    clip = clip_of_noise(tmp_path / "a.mkv")
    fail_from(0.5, clip, times=2)
    assert len(list(VideoSource(clip, threads=1).frames())) == 100
    assert FailingDisk.tries == 2


def test_an_interrupt_while_ffmpeg_reads_is_raised(make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch):
    read, interrupts = source_file._read, False

    def read_until_interrupted(*arguments: Any) -> bytes:
        if interrupts:
            raise KeyboardInterrupt
        return read(*arguments)

    monkeypatch.setattr(source_file, "_read", read_until_interrupted)
    clip = clip_of_noise(make_clip("a.mkv"))
    with open_container(clip) as container:
        interrupts = True
        with pytest.raises(KeyboardInterrupt):
            list(packets_of(container))


def promising_more(clip: Path) -> Path:
    """The same file with a header that says nine seconds more, or a thousand frames."""
    data = bytearray(clip.read_bytes())
    if clip.suffix == ".mkv":
        at = data.index(b"00:00:0", data.index(b"DURATION")) + 7
        data[at : at + 1] = b"9"
    else:
        at = data.index(b"strh") + 8 + 32  # dwLength
        data[at : at + 4] = (1000).to_bytes(4, "little")
    clip.write_bytes(data)
    return clip


@pytest.mark.parametrize("name", ["a.mkv", "a.avi"])
def test_far_less_than_promised_is_never_done(tmp_path: Path, name: str):
    clip = promising_more(clip_of_noise(tmp_path / name, "-c:v", "mpeg4"))
    target = tmp_path / "o.mkv"
    assert run(["enhance", str(clip), "-o", str(target), *BICUBIC]) == 3
    assert run(["enhance", str(clip), "-o", str(target), "--segment", "1", *BICUBIC]) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        name,
        "o.unverified.2.mkv",
        "o.unverified.mkv",
    ]


def test_who_goes_on_in_the_middle_holds_the_rest_against_the_index(tmp_path: Path):
    clip = clip_of_noise(tmp_path / "a.mp4", "-c:v", "mpeg4", "-g", "10", "-movflags", "faststart")
    info = probe(clip)
    middle = round(1.2 / info.time_base)
    whole = VideoSource(clip, threads=1, from_pts=middle)
    assert len(list(whole.frames())) == 70
    assert not whole.counts.notes
    os.truncate(clip, clip.stat().st_size * 6 // 10)
    rest = VideoSource(clip, threads=1, from_pts=middle)
    there = len(list(rest.frames()))
    (note,) = [note for note in rest.counts.notes if "cut off" in note]
    said, came = map(int, re.findall(r"\d+", note))
    assert said - came == 70 - there > 30, note  # reading begins earlier


@pytest.mark.slow
def test_far_less_than_promised_stays_open_in_an_archive(tmp_path: Path):
    promising_more(clip_of_noise(tmp_path / "in.mkv", "-c:v", "mpeg4"))
    assert run(["batch", str(tmp_path / "in.mkv"), "-o", str(tmp_path / "out"), *BICUBIC]) == 3
    (entry,) = read_entries(tmp_path / "out").values()
    assert entry.status == "unverified"
    assert "4 of the 9 seconds that it promises" in entry.error
    assert not (tmp_path / "out" / "in.mkv").exists()


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.avi", "a.flv"])
def test_a_cut_is_seen_in_the_boxes(tmp_path: Path, name: str):
    clip = clip_of_noise(tmp_path / name, "-c:v", "flv1" if name == "a.flv" else "mpeg4")
    container = probe(clip).container
    assert is_cut_off(clip, container) == (name == "a.flv")  # which has no boxes
    clip.write_bytes(clip.read_bytes()[:-10])
    assert is_cut_off(clip, container)


@pytest.mark.parametrize("scheme", [("-movflags", "faststart"), ("-movflags", "frag_keyframe+empty_moov")])
def test_an_encrypted_file_is_refused_as_such(tmp_path: Path, scheme: tuple[str, str]):
    key = ("-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a" * 32)
    clip = clip_of_noise(tmp_path / "a.mp4", "-encryption_scheme", "cenc-aes-ctr", *key, *scheme)
    with pytest.raises(SourceError, match="is encrypted"):
        probe(clip)


def test_a_scrambled_broadcast_is_refused_as_such(tmp_path: Path):
    clip = clip_of_noise(tmp_path / "a.ts", "-c:v", "mpeg2video")
    data = bytearray(clip.read_bytes())
    for at in range(0, len(data), 188):
        if ((data[at + 1] & 31) << 8 | data[at + 2]) == 256 and at > 20 * 188:
            data[at + 3] |= 0x80
    clip.write_bytes(data)
    probe(clip)  # the beginning is clear
    for at in range(0, len(data), 188):
        if ((data[at + 1] & 31) << 8 | data[at + 2]) == 256:
            data[at + 3] |= 0x80
    clip.write_bytes(data)
    with pytest.raises(SourceError, match="is encrypted"):
        probe(clip)
