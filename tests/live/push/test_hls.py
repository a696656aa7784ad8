"""The playlist that players of a live stream see."""

import re
import subprocess
import sys
from dataclasses import replace

import av
import pytest
from support.clips import ClipOptions, read_number, write_clip

from vsr.live.options import OutputOptions
from vsr.live.packets import describe_stream, packet_message
from vsr.live.push.hls import Hls
from vsr.live.push.order import PushOrder


@pytest.mark.parametrize(("segment_s", "gop"), [(0.0, 12), (0.24, 6), (2.0, 50)])
def test_the_playlist_holds_twice_what_players_stay_behind_and_begins_at_any_segment(
    tmp_path, segment_s, gop
):
    clip = write_clip(tmp_path / "clip.mp4", ClipOptions(num_frames=400, size=(96, 128), gop=gop, b_frames=0))
    with av.open(str(clip)) as container:
        [stream] = container.streams
        output = OutputOptions("hls", str(tmp_path / "www"), segment_s=segment_s)
        hls = Hls(PushOrder(output, "door", fresh=True), [describe_stream(stream)])
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
    order = PushOrder(output, "door", "-original", num_streams=2, fresh=True)
    got = PushOrder.from_line(order.to_line(output.address))
    assert got.output.target == "rtsp://user:secret@host/door"
    assert "secret" not in repr(got)
    back = replace(got.output, target=output.target, credentials_env="DOOR")
    assert replace(got, output=back) == order
