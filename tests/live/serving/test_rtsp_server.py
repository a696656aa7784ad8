"""The RTSP server, with real players as processes and one of our own that does what those do not."""

import os
import shutil
import subprocess
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

import av
import numpy as np
import pytest
from support.clips import read_number
from support.live_hub import LARGE, NUM, played_hub
from support.live_player import free_port, wait_for
from support.live_rig import FORMAT, frame
from support.rtsp_player import Player, basic, digest

from vsr.errors import ConfigError
from vsr.frames import PictureFormat
from vsr.live.cameras.camera import Camera
from vsr.live.options import CameraOptions
from vsr.live.packets import TICKS
from vsr.live.serve_options import ServingOptions
from vsr.live.serving import Hub, rtsp_connection, rtsp_server, rtsp_session, rtsp_transports
from vsr.media.ffmpeg import find_ffmpeg

OTHER = PictureFormat(120, 160)


class Service:
    """A sink that is fed 25 numbered frames a second, with the sound of a clip, and served."""

    def __init__(self, rig, opened: ExitStack, sound: Path | None = None, **options):
        self.hub = Hub(linger_s=1.0)
        self.live = rig(served=(self.hub.publish("door"), self.hub.publish("door/original")))
        self.format, self.number, self.away, self.noise = FORMAT, 0, False, 0
        self._sound, self._end = sound, threading.Event()
        server = rtsp_server.RtspServer(self.hub, ServingOptions(**{"port": free_port(), **options}))
        self.port = server.port
        feeding = threading.Thread(target=self._feed)
        feeding.start()
        for end in (feeding.join, self._end.set, server.close):
            opened.callback(end)

    def url(self, path: str = "/door", who: str = "") -> str:
        return f"rtsp://{who}127.0.0.1:{self.port}{path}"

    def _feed(self) -> None:
        with ExitStack() as opened:
            container = opened.enter_context(av.open(str(self._sound))) if self._sound else None
            packets = [p for p in container.demux() if p.size] if container else []
            began = time.monotonic()
            while not self._end.wait(max(0.0, began + self.number / 25 - time.monotonic())):
                self._step(packets, container.streams if container else ())
                self.number += 1

    def _step(self, packets, streams) -> None:
        if self.away:
            self.live.sink.away(1.0)
        else:
            pts = self.number * TICKS // 25
            self.live.sink.write(frame(self.number, self.format, pts=pts, noise=self.noise))
        seconds = len(packets) and max(float((p.pts + p.duration) * p.time_base) for p in packets)
        turn, within = divmod(self.number / 25, seconds) if seconds else (0, 0)
        for packet in packets:
            if within <= packet.pts * packet.time_base < within + 0.04:
                self.live.sink.packet(packet, round(turn * seconds * TICKS), streams)


@pytest.fixture
def serve(rig):
    with ExitStack() as opened:
        yield lambda *arguments, **options: Service(rig, opened, *arguments, **options)


@pytest.fixture
def play():
    with ExitStack() as opened:

        def connect(service: Service, path: str = "/door", **options) -> Player:
            made = Player(service.port, path, **options)
            opened.callback(made.close)
            return made

        yield connect


@pytest.fixture
def users(tmp_path) -> str:
    path = tmp_path / "users"
    path.write_text("# who may watch\nanna:se cret:1\nbob:two\n")
    path.chmod(0o600)
    return str(path)


def seen_by_ffmpeg(
    url: str, *options: str, count: int = 12, size: tuple[int, int] = (FORMAT.height, FORMAT.width)
) -> list[int]:
    command = [find_ffmpeg(), "-v", "error", *options, "-i", url, "-frames:v", str(count), "-an"]
    command += ["-fps_mode", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo", "-"]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    pictures = np.frombuffer(done.stdout, np.uint8).reshape(-1, *size)
    return [read_number(one) for one in pictures]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_ffmpeg_sees_each_picture(serve, transport):
    numbers = seen_by_ffmpeg(serve().url(), "-rtsp_transport", transport)
    assert len(numbers) == 12
    assert numbers == sorted({*numbers})


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_originals_in_h265_are_seen_as_they_were_sent(tmp_path, transport):
    with (
        played_hub(tmp_path, size=LARGE, codec="h265") as played,
        closing(rtsp_server.RtspServer(played.hub, ServingOptions(port=free_port()))) as server,
    ):
        url = f"rtsp://127.0.0.1:{server.port}/door/original"
        numbers = seen_by_ffmpeg(url, "-rtsp_transport", transport, size=LARGE)
    assert numbers == [(numbers[0] + each) % NUM for each in range(12)]


def test_a_player_that_asks_before_there_is_anything_is_answered_as_soon_as_there_is(rig, play, monkeypatch):
    monkeypatch.setattr(rtsp_connection, "_IDLE_S", 0.1)
    monkeypatch.setattr(rtsp_server, "_LOOK_S", 0.02)
    hub = Hub()
    live = rig(served=(hub.publish("door"), None))
    with closing(rtsp_server.RtspServer(hub, ServingOptions(free_port()))) as server:
        player = play(server)
        answers = []
        asking = threading.Thread(target=lambda: answers.append(player.ask("DESCRIBE")))
        asking.start()
        wait_for(lambda: hub.broadcasts[0].num_viewers)
        time.sleep(0.5)  # it waits for longer than one that says nothing may
        assert not answers
        live.feed_until(lambda: answers)
        asking.join()
    assert answers[0][0] == 200


def test_a_player_that_waits_in_vain_is_told_to_come_again(play, monkeypatch):
    monkeypatch.setattr(rtsp_session, "_KNOWN_S", 0.2)
    hub = Hub()
    hub.publish("door")
    with closing(rtsp_server.RtspServer(hub, ServingOptions(free_port()))) as server:
        status, headers, _ = play(server).ask("DESCRIBE")
    assert (status, headers["Retry-After"]) == (503, ["5"])


PLAYERS = {
    "mpv": "mpv --no-config --vo=null --ao=null --no-terminal --frames=20 {url}",
    "gst-launch-1.0": "gst-launch-1.0 -q rtspsrc location={url} latency=50 ! rtph264depay ! h264parse ! avdec_h264"
    " ! fakesink num-buffers=20",
}


@pytest.mark.slow
@pytest.mark.parametrize("player", PLAYERS)
def test_players_play_it(serve, player):
    if shutil.which(player) is None:
        pytest.skip(f"{player} is not installed")
    service = serve()
    command = PLAYERS[player].format(url=service.url()).split()
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: service.live.sink.status.written >= 20)


def test_it_is_a_camera_for_vsr_live(serve):
    camera, stop = Camera(CameraOptions("again", serve().url()), 0), threading.Event()
    numbers = []
    for shown in camera.frames(stop):
        numbers.append(read_number(shown.planes[0]))
        if len(numbers) == 12:
            stop.set()
    assert numbers == sorted({*numbers})


def test_the_encoder_begins_with_a_player_and_ends_after_the_last(serve, play):
    service = serve()
    sink = service.live.sink
    assert sink.encoder_pid is None
    player = play(service)
    player.play()
    assert player.picture()
    assert sink.encoder_pid is not None
    player.close()
    service.live.wait_until(lambda: sink.encoder_pid is None)
    assert service.hub.broadcasts[0].num_viewers == 0


def test_twenty_players_share_an_encode_and_one_that_stops_reading_is_let_go_alone(serve, play, monkeypatch):
    monkeypatch.setattr(rtsp_transports, "_BUFFER", 4096)
    monkeypatch.setattr(rtsp_transports, "_STUCK_S", 3.0)
    service = serve()
    service.noise = 60
    players = [play(service, buffer=4096 if number == 0 else 0) for number in range(20)]
    for one in players:
        one.play()
    pictures = [one.picture() for one in players]
    pid = service.live.sink.encoder_pid
    assert all(b"\0\0\1\x67" in picture for picture in pictures)  # each begins with parameters
    end = time.monotonic() + 60
    while service.hub.broadcasts[0].num_viewers == 20:
        assert time.monotonic() < end
        assert all(one.picture() for one in players[1:])
    for _ in range(5):
        assert all(one.picture() for one in players[1:])
    assert service.hub.broadcasts[0].num_viewers == 19
    assert service.live.sink.encoder_pid == pid


def test_players_go_on_while_the_camera_is_away_and_over_another_size(serve, play):
    service = serve()
    player = play(service)
    player.play()
    decoder = av.CodecContext.create("h264", "r")

    def until(condition) -> list[av.VideoFrame]:
        shown = []
        end = time.monotonic() + 60
        while not shown or not condition(shown[-1]):
            assert time.monotonic() < end
            shown += decoder.decode(av.Packet(player.picture()))
        return shown

    until(lambda one: one.height == FORMAT.height)
    service.away = True
    gone = service.number
    until(lambda one: service.number > gone + 15)
    service.format, service.away = OTHER, False
    until(lambda one: one.height == OTHER.height)


def test_sound_comes_along_in_time(serve, make_clip):
    service = serve(make_clip(num_frames=50, codec_options={"bf": "0"}, audio=True))
    with av.open(service.url(), options={"rtsp_transport": "tcp"}) as container:
        assert [one.codec_context.name for one in container.streams] == ["h264", "aac"]
        times: dict[str, list[float]] = {"video": [], "audio": []}
        for packet in container.demux():
            if packet.pts is not None:
                times[packet.stream.type].append(float(packet.pts * packet.time_base))
            if min(len(each) for each in times.values()) > 30:
                break
    assert abs(times["video"][-1] - times["audio"][-1]) < 1.0
    assert times["audio"] == sorted(times["audio"])


def test_only_those_in_the_file_may_watch(serve, play, users):
    service = serve(users_file=users)
    player = play(service)
    status, headers, _ = player.ask("DESCRIBE")
    challenges = headers["WWW-Authenticate"]
    assert status == 401
    assert [one.split()[0] for one in challenges] == ["Digest", "Digest", "Basic"]
    for challenge in challenges[:2]:
        told = digest(challenge, "DESCRIBE", player.url, "anna", "se cret:1")
        assert player.ask("DESCRIBE", Authorization=told)[0] == 200
        assert player.ask("SETUP", f"{player.url}/video", Authorization=told)[0] == 401  # of another method
    other = play(service)
    told = digest(challenges[0], "DESCRIBE", other.url, "anna", "se cret:1")
    assert other.ask("DESCRIBE", Authorization=told)[0] == 401  # another connection's
    assert other.ask("DESCRIBE", Authorization=basic("bob", "two"))[0] == 200
    assert seen_by_ffmpeg(service.url(who="bob:two@"), "-rtsp_transport", "tcp", count=2)


def test_a_wrong_password_is_refused_and_the_third_ends_the_connection(serve, play, users, monkeypatch):
    monkeypatch.setattr(rtsp_connection, "_WRONG_S", 0.01)
    service = serve(users_file=users)
    player = play(service)
    for told in (basic("bob", "three"), basic("carl", "two"), "Digest nonsense"):
        assert player.ask("DESCRIBE", Authorization=told)[0] == 401
    with pytest.raises(ConnectionError):
        player.ask("DESCRIBE", Authorization=basic("bob", "two"))
    assert service.live.sink.encoder_pid is None


def test_what_is_not_there_or_makes_no_sense_is_refused_and_ends_nothing(serve, play):
    service = serve()
    player = play(service, "/gate")
    assert player.ask("DESCRIBE")[0] == 404
    assert player.ask("RECORD")[0] == 405
    assert player.ask("PLAY")[0] == 454
    assert player.ask("OPTIONS", Require="dances")[0] == 551
    assert player.ask("GET_PARAMETER")[0] == 200
    assert player.ask("SETUP", service.url("/door/video"), Transport="RTP/AVP;multicast")[0] == 461
    udp = "RTP/AVP;unicast;client_port=53-54;destination=192.0.2.1"
    assert player.ask("SETUP", service.url("/door/video"), Transport=udp)[0] == 461
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"x" * 20_000, b"DESCRIBE rtsp://[ RTSP/1.0\r\n\r\n"):
        odd = play(service)
        odd.send(nonsense)
        assert odd.answer()[0] == 400
    again = play(service)
    again.play()
    assert again.picture()


def test_a_player_of_udp_that_is_silent_is_let_go(serve, play, monkeypatch):
    monkeypatch.setattr(rtsp_connection, "_TIMEOUT_S", 0)
    monkeypatch.setattr(rtsp_connection, "_IDLE_S", 1.0)
    service = serve()
    player = play(service)
    assert player.ask("DESCRIBE")[0] == 200
    wish = "RTP/AVP;unicast;client_port=40000-40001"
    _, headers, _ = player.ask("SETUP", f"{player.url}/video", Transport=wish)
    player._session = headers["Session"][0].partition(";")[0]
    assert player.ask("PLAY")[0] == 200
    service.live.wait_until(lambda: service.hub.broadcasts[0].num_viewers == 0, 60)


def test_options_that_would_open_it_to_anybody_are_refused(tmp_path, users):
    with pytest.raises(ConfigError, match="wants a users_file"):
        ServingOptions(8554, "0.0.0.0")
    with pytest.raises(ConfigError, match="no address"):
        ServingOptions(8554, "here")
    os.chmod(users, 0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        _ = ServingOptions(8554, "0.0.0.0", users).users
    empty = tmp_path / "empty"
    empty.touch(0o600)
    with pytest.raises(ConfigError, match="USER:PASSWORD"):
        _ = ServingOptions(8554, users_file=str(empty)).users


def test_a_port_that_is_taken_is_one_line(serve):
    service = serve()
    with pytest.raises(ConfigError, match=f"port {service.port} cannot be opened"):
        rtsp_server.RtspServer(Hub(), ServingOptions(service.port))
