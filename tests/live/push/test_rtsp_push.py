"""Pushing to a real RTSP server, which writes down what it gets."""

import io
import signal
from pathlib import Path

import av
import pytest
from support.clips import read_number
from support.live_rig import STEP, Rig
from support.rtsp import Server

from vsr.live.options import OutputOptions
from vsr.live.outputs import feeder

pytestmark = pytest.mark.rtsp


@pytest.fixture
def server(gstreamer, tmp_path):
    made = Server(tmp_path)
    yield made
    made.kill()


def pushed(path: Path) -> list[int]:
    """Numbers of the pictures in a raw H.264 file whose last one may be incomplete."""
    with av.open(io.BytesIO(path.read_bytes()), format="h264") as container:
        return [read_number(f.to_ndarray()[: f.height]) for f in container.decode(video=0)]


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.fixture
def sound(tmp_path):
    """A packet of A-law, as cameras send it; its stream is open."""
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_alaw", rate=8000, layout="mono")
        silence = av.AudioFrame(format="s16", layout="mono", samples=320)
        silence.sample_rate, silence.pts = 8000, 0
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        yield next(packet for packet in container.demux() if packet.size)


def test_pictures_and_sound_arrive_at_a_server_that_wants_a_password(rig, server, tmp_path, sound):
    target = tmp_path / "pushed.h264"
    server.start(f"/in>{target}", "--user", "al", "--password", "s3cr3t", "--audio")
    live: Rig = rig(OutputOptions("rtsp", server.url("/in", "al:s3cr3t@")))
    live.sink.packet(sound, 10**9, [sound.stream])  # says what the sound is before the first picture
    live.run()

    def heard() -> bool:
        live.sink.packet(sound, 10**9 + live.number * STEP, [sound.stream])
        return size(tmp_path / "pushed.h264.alaw") > 0 and size(target) > 1000

    live.feed_until(heard)
    live.feed(30)
    live.sink.close()
    shown = pushed(target)
    missing = set(range(shown[0], shown[-1] + 1)) - set(shown)
    assert shown == sorted(set(shown))
    assert len(missing) <= live.sink.status.dropped
    assert shown[-1] >= live.number - 3


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_that_dies_or_freezes_is_pushed_to_again(rig, server, tmp_path, monkeypatch, fault):
    monkeypatch.setattr(feeder, "_OPEN_S", 2.0)
    target = tmp_path / "pushed.h264"
    server.start(f"/in>{target}")
    live: Rig = rig(OutputOptions("rtsp", server.url("/in")), "record").run()
    push, record = live.output("rtsp"), live.output("record")
    push.silence_s = 0.5
    live.feed_until(lambda: size(target) > 1000)
    live.noise = 60  # enough bits to fill what the two systems keep in between
    server.signal(fault)
    live.feed_until(lambda: push.status.restarts >= 1, 30.0)
    live.noise = 0
    server.kill()
    again = tmp_path / "again.h264"
    server.start(f"/in>{again}")
    live.feed_until(lambda: size(again) > 5000, 30.0)
    live.sink.close()
    assert record.status.restarts == 0
    shown = pushed(again)
    missing = set(range(shown[0], shown[-1] + 1)) - set(shown)
    assert shown == sorted(set(shown))
    assert len(missing) <= live.sink.status.dropped  # what a busy machine's encoder did not take
