"""A real RTSP server with clips of numbered frames, and sinks that are fed with such frames."""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clips import ClipOptions, write_clip
from support.live_rig import Rig, child_pids
from support.rtsp import NEEDS, NUM_FRAMES, PYTHON, Server

from vsr.live.options import OutputOptions
from vsr.live.outputs.encoder import LiveEncode
from vsr.live.outputs.live_sink import LiveSink, SinkOptions


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """A folder with clips for the server: a.h264 of 96 by 128, b.h264 of 120 by 160."""
    folder = tmp_path_factory.mktemp("rtsp")
    extra = {"bf": "0", "tune": "zerolatency", "x264-params": "aud=1:repeat-headers=1"}
    for name, size in (("a", (96, 128)), ("b", (120, 160))):
        clip = ClipOptions(num_frames=NUM_FRAMES, size=size, gop=25, codec_options=extra)
        write_clip(folder / f"{name}.h264", clip)
    return folder


@pytest.fixture(scope="module")
def gstreamer() -> None:
    if subprocess.run([PYTHON, "-c", NEEDS], capture_output=True, check=False).returncode:
        pytest.skip("no RTSP server: gir1.2-gst-rtsp-server-1.0 and python3-gi are not installed")


@pytest.fixture
def server(gstreamer, clips) -> Iterator[Server]:
    made = Server(clips)
    yield made
    made.kill()


@pytest.fixture
def rig(tmp_path):
    """Makes sinks on folders below `tmp_path`; afterwards nothing may be left of them."""
    made, threads, before = [], set(threading.enumerate()), child_pids()

    def make(*kinds: str | OutputOptions, **options) -> Rig:
        targets = {"record": "rec", "hls": "hls", "snapshot": "snap/now.jpg", "udp": "udp://127.0.0.1:9"}
        chosen = [
            kind if isinstance(kind, OutputOptions)
            else OutputOptions(kind, targets[kind] if "://" in targets[kind] else str(tmp_path / targets[kind]),
                               min_free_gb=0.0, segment_s=3600 if kind == "record" else 0.0)
            for kind in kinds
        ]  # fmt: skip
        callback, served = options.pop("callback", None), options.pop("served", None)
        options = SinkOptions(**{"encode": LiveEncode(encoder="x264", keyframe_s=0.2), **options})
        made.append(LiveSink("door", chosen, options, callback=callback, served=served))
        return Rig(made[-1])

    yield make
    for one in made:
        one.close()
    assert child_pids() == before
    assert set(threading.enumerate()) <= threads
