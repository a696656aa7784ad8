"""The playlist that players of a live stream see."""

import re
import subprocess
import sys
import time
from dataclasses import replace

import av
import pytest
from support.clips import ClipOptions, read_number, write_clip

from vsr.live.options import OutputOptions
from vsr.live.packets import describe_stream, packet_message
from vsr.live.push import hls as hls_module
from vsr.live.push.hls import Hls
from vsr.live.push.order import PushOrder
from vsr.live.push.playlist import Playlist


@pytest.mark.parametrize(("segment_s", "gop"), [(0.0, 12), (0.24, 6), (2.0, 50)])
def test_the_playlist_holds_twice_what_players_stay_behind_and_begins_at_any_segment(
    tmp_path, segment_s, gop
):
    clip = write_clip(tmp_path / "clip.mp4", ClipOptions(num_frames=400, size=(96, 128), gop=gop, b_frames=0))
    with av.open(str(clip)) as container:
        [stream] = container.streams
        output = OutputOptions("hls", str(tmp_path / "www"), segment_s=segment_s)
        hls = Hls(PushOrder(output, "door"), [describe_stream(stream)], say=print)
        for message in filter(None, map(packet_message, container.demux())):
            hls.mux(message)
    playlist = tmp_path / "www" / "live.m3u8"
    text = playlist.read_text()
    target_s = int(re.findall(r"TARGETDURATION:(\d+)", text)[0])
    listed = [float(seconds) for seconds in re.findall(r"EXTINF:([\d.]+)", text)]
    assert target_s >= round(max(listed)) >= 0.5 * target_s or target_s == 1
    assert sum(listed) >= 2 * 3 * target_s - max(listed)
    assert max(listed) <= (segment_s or 0.5) + 0.05
    assert "#EXT-X-INDEPENDENT-SEGMENTS" in text
    names = re.findall(r"^live-\d+\.m4s$", text, re.MULTILINE)
    assert len(list((tmp_path / "www").glob("live-*.m4s"))) <= 2 * len(names)  # old ones are deleted
    hls.finish()
    with av.open(str(playlist)) as container:
        shown = [read_number(frame.to_ndarray()[:96]) for frame in container.decode(video=0)]
    assert shown == list(range(shown[0], 400))
    assert shown[0] % gop == 0
    assert not list((tmp_path / "www").glob("*.tmp"))


def test_an_outputs_process_loads_neither_torch_nor_the_pipeline():
    heavy = ["torch", "numpy", "cv2", "vsr.pipeline", "vsr.engine", "vsr.media", "vsr.models"]
    check = f"import sys, vsr.live.push.__main__; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True).stdout == "[]\n"


def test_an_order_travels_whole_and_with_its_password(monkeypatch):
    monkeypatch.setenv("DOOR", "user:secret")
    output = OutputOptions("rtsp", "rtsp://host/door", credentials_env="DOOR", transport="udp", keep_gb=2)
    order = PushOrder(output, "door", "-original", num_streams=2)
    got = PushOrder.from_line(order.to_line(output.address))
    assert got.output.target == "rtsp://user:secret@host/door"
    assert "secret" not in repr(got)
    back = replace(got.output, target=output.target, credentials_env="DOOR")
    assert replace(got, output=back) == order


@pytest.fixture
def feed(tmp_path):
    """Writes frames of a size into the folder `www`, as one process of an output does."""
    output, said = OutputOptions("hls", str(tmp_path / "www"), segment_s=0.24), []
    runs: list[tuple[int, int]] = []

    def run(size: tuple[int, int], during=lambda number: None, *, ends: bool = False) -> list[str]:
        # As the encoder does, for players that take parameters from the stream alone.
        codec = {"bf": "0", "x264-params": "repeat-headers=1"}
        clip = ClipOptions(num_frames=60, size=size, gop=6, codec_options=codec)
        path = write_clip(tmp_path / f"{size[0]}.ts", clip)
        with av.open(str(path)) as container:
            hls = Hls(PushOrder(output, "door"), [describe_stream(container.streams[0])], say=said.append)
            packets = (packet_message(packet, shift=90_000 * 10 * len(runs)) for packet in container.demux())
            for number, message in enumerate(filter(None, packets)):
                during(number)
                hls.mux(message)
        runs.append(size)
        hls.finish() if ends else hls.close()
        return said

    return run


def shown(playlist) -> list[tuple[int, int]]:
    """Height and number of each picture that is listed."""
    ended = playlist.with_name("ended.m3u8")
    ended.write_text(playlist.read_text() + "#EXT-X-ENDLIST\n")  # or a reader waits for more
    with av.open(str(ended)) as container:
        return [(f.height, read_number(f.to_ndarray()[: f.height])) for f in container.decode(video=0)]


def tags(text: str, name: str) -> list[str]:
    return re.findall(rf"^#EXT-X-{name}(?::(.*))?$", text, re.MULTILINE)


def test_another_size_and_another_start_go_on_over_a_discontinuity(tmp_path, feed):
    playlist = tmp_path / "www" / "live.m3u8"
    numbers, breaks = [], []
    for size in ((96, 128), (48, 64), (48, 64)):
        feed(size)
        text = playlist.read_text()
        numbers.append(int(tags(text, "MEDIA-SEQUENCE")[0]) + len(re.findall("^live-", text, re.MULTILINE)))
        breaks.append(int(tags(text, "DISCONTINUITY-SEQUENCE")[0]) + len(tags(text, "DISCONTINUITY")))
    assert [number - numbers[0] for number in numbers] == [0, 10, 20]
    assert breaks == [0, 1, 2]
    seen = shown(playlist)
    assert seen == [(size, number) for size in (96, 48, 48) for number in range(60)][-len(seen) :]
    assert len(seen) in (144, 150, 156)
    feed((96, 128), ends=True)
    assert playlist.read_text().endswith("#EXT-X-ENDLIST\n")
    feed((96, 128))
    assert "ENDLIST" not in playlist.read_text()
    listed = {*re.findall(r"live-[\w.-]+", playlist.read_text())}
    there = {path.name for path in (tmp_path / "www").iterdir()} - {"live.m3u8", "ended.m3u8"}
    assert listed <= there
    assert len(there) < len(listed) + 12


def test_what_an_earlier_run_left_long_ago_is_listed_no_more_and_numbers_go_on(tmp_path, feed, monkeypatch):
    feed((48, 64))
    before = Playlist.from_text((tmp_path / "www" / "live.m3u8").read_text())
    (tmp_path / "www" / "mine.txt").write_text("not ours")
    now = time.time()
    monkeypatch.setattr(hls_module.time, "time", lambda: now + 3600)
    feed((48, 64))
    after = Playlist.from_text((tmp_path / "www" / "live.m3u8").read_text())
    assert (after.sequence, after.num_breaks + after.segments[0].breaks) == (before.next, 1)
    files = [path.name for path in (tmp_path / "www").glob("live-*.m4s")]
    assert sorted(files) == sorted(segment.name for segment in after.segments)
    assert (tmp_path / "www" / "mine.txt").exists()


def test_a_folder_that_cannot_be_written_to_is_said_once_and_taken_up_again(tmp_path, feed):
    folder, aside = tmp_path / "www", tmp_path / "aside"

    def during(number: int) -> None:
        if number == 20:
            folder.rename(aside)
            folder.write_text("in the way")
        elif number == 40:
            folder.unlink()
            aside.rename(folder)

    said = feed((48, 64), during)
    assert [line.partition(":")[0] for line in said] == ["paused", f"{folder} can be written to again"]
    assert "cannot be written to: file exists" in said[0]
    playlist = Playlist.from_text((folder / "live.m3u8").read_text())
    assert [segment.breaks for segment in playlist.segments].count(True) == 1
    numbers = [number for _, number in shown(folder / "live.m3u8")]
    assert numbers[-18:] == list(range(42, 60))
    assert numbers == sorted(set(numbers))
