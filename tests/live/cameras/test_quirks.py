"""What real cameras do, against a camera whose oddities are chosen."""

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise

import pytest
from support.live_player import QUICK, Player, assert_goes_forward, wait_for
from support.quirky_camera import QuirkyCamera, metadata, pictures, sound
from support.rtsp import NUM_FRAMES

from vsr.live.cameras.camera import Camera
from vsr.live.options import CameraOptions
from vsr.live.retry import Retry


@pytest.fixture
def clip(clips):
    return clips / "a.h264"


class Tapped(Player):
    """A player that notes when on the pictures' timeline each packet is."""

    def __init__(self, url: str, *, leave_s: float = 1.0, **options: object):
        camera = Camera(CameraOptions("door", url, **options), 1, retry=QUICK)  # type: ignore[arg-type]
        camera.tap = self._hear
        self.sound: list[tuple[float, int]] = []
        """Seconds, and the number of the packet."""
        self.coded: list[float] = []
        super().__init__("", camera=camera, leave_s=leave_s)

    def _hear(self, packet, shift: int, streams: Sequence[object]) -> None:
        if packet.pts is None:
            return
        time_s = float(packet.pts * packet.time_base) + shift / 90_000
        if packet.stream.type == "audio":
            self.sound.append((time_s, bytes(packet)[0]))
        else:
            self.coded.append(time_s)

    def zero_s(self) -> float:
        """When on the timeline the camera's first picture is, whether it was seen or not."""
        return self.seen[0].pts / 90_000 - self.numbers[0] / 25

    def sound_is_off_s(self) -> list[float]:
        """How late each packet is for the pictures of its moment."""
        zero_s = self.zero_s()
        return [(time_s - zero_s - number / 50 + 2.56) % 5.12 - 2.56 for time_s, number in self.sound]


def test_what_nobody_reads_hides_no_stall_and_keeps_no_connection(clip):
    stops = pictures(clip, due_s=lambda number: number / 25 if number < 10 else number / 25 + 600)
    with QuirkyCamera(stops, metadata()) as camera:
        with Player(camera.url, stall_s=1.2) as player:
            player.wait(5)
            player.wait_state("stalled")
            player.wait_state("away")
            assert "no picture for" in player.camera.status.last_error
            wait_for(lambda: player.camera.status.reconnects == 1)
        wait_for(lambda: camera.connections == 0)


def test_a_link_that_stalls_within_a_packet_costs_no_picture(clip):
    with QuirkyCamera(pictures(clip), torn_s=0.8) as camera:
        with Player(camera.url, transport="tcp", stall_s=20.0, leave_s=3.0) as player:
            player.wait(60)
            numbers, status = player.numbers, player.camera.status
        assert camera.sessions == 1
    assert (status.reconnects, status.corrupt) == (0, 0)
    assert numbers == [index % NUM_FRAMES for index in range(len(numbers))]


def test_mad_times_of_single_pictures_change_no_others_and_no_packets(clip):
    mad = pictures(clip, time_s=lambda number: number / 25 + (37_600 if number % 10 == 7 else 0))
    with QuirkyCamera(mad, sound()) as camera, Tapped(camera.url) as player:
        player.wait(40)
        frames, coded = player.seen, player.coded
    assert_goes_forward(frames)
    steps = [(b.pts - a.pts) / 90_000 for a, b in pairwise(frames)]
    assert max(steps) < 0.5
    assert [frame.reset for frame in frames] == [True] + [False] * (len(frames) - 1)
    assert [b - a for a, b in pairwise(coded)] == pytest.approx([0.04] * (len(coded) - 1), abs=0.02)
    assert max(map(abs, player.sound_is_off_s())) < 0.3


SOUNDS = {
    "no reports": (sound(from_s=0.9), 0.3),  # by arrival
    "begins later": (sound(from_s=0.9, reports_s=lambda moment: 1.8e9 + moment), 0.1),
    "late": (sound(late_s=0.5, reports_s=lambda moment: 1.8e9 + moment), 0.1),
    "1970": (sound(reports_s=lambda moment: moment), 0.3),
    "an hour off": (sound(reports_s=lambda moment: 1.8e9 + 3600 + moment), 0.3),
    "set meanwhile": (sound(reports_s=lambda moment: 1.8e9 + moment if moment > 1.5 else moment), 0.3),
}
"""What a camera says of its sound, and how far it may then be off its pictures."""


def test_sound_is_with_its_pictures_whatever_the_camera_says_of_it(clip):
    told = pictures(clip, reports_s=lambda moment: 1.8e9 + moment)
    with ExitStack() as opened:
        players = {
            name: opened.enter_context(
                Tapped(opened.enter_context(QuirkyCamera(told, track)).url, leave_s=3.0)
            )
            for name, (track, _) in SOUNDS.items()
        }
        for name, player in players.items():
            wait_for(lambda: len(player.sound) > 100)  # noqa: B023
            off = player.sound_is_off_s()
            assert max(map(abs, off[-20:])) < SOUNDS[name][1], name


def test_a_camera_that_sends_by_udp_alone_is_played_and_one_that_takes_neither_says_what_to_try(clip):
    with QuirkyCamera(pictures(clip), tcp="461 Unsupported transport") as camera:
        with Player(camera.url) as player:
            player.wait(5)
        with Player(camera.url, transport="tcp") as player:
            player.wait_state("refused")
            assert "auto" in player.camera.status.last_error


@pytest.mark.slow
def test_a_camera_that_takes_tcp_and_sends_nothing_is_played_by_udp_which_is_what_it_is_asked_for_from_then_on(
    clip, monkeypatch
):
    monkeypatch.setattr("vsr.live.cameras.connection.OPEN_S", 1.0)
    with QuirkyCamera(pictures(clip), tcp="silent", session_s=4.0) as camera:
        with Player(camera.url, transport="tcp", stall_s=1.0, leave_s=3.0) as player:
            wait_for(lambda: player.camera.status.last_error)
            assert "nothing comes by TCP; " in player.camera.status.last_error
            assert "auto" in player.camera.status.last_error
        camera.asked.clear()
        with Player(camera.url, stall_s=1.0) as player:
            wait_for(lambda: len(camera.asked) == 3)
            player.wait(5)
        assert camera.asked[:3] == ["tcp", "udp", "udp"]


def test_a_password_by_sha_256_is_named_as_what_it_is(clip):
    challenge = 'Digest realm="cam", nonce="1f", algorithm="SHA-256"'
    camera = QuirkyCamera(pictures(clip), challenge=challenge)
    with camera, Player(camera.url.replace("//", "//al:geheim@")) as player:
        player.wait_state("refused")
        assert "digest with SHA-256 alone" in player.camera.status.last_error
        assert "geheim" not in player.camera.status.last_error


def test_a_camera_that_hangs_up_every_other_second_is_back_at_once_each_time(clip):
    retry = Retry(first_s=0.1, longest_s=30.0, soon_s=0.2, soon_for_s=0.0)
    with QuirkyCamera(pictures(clip), session_s=1.2) as camera, Player(camera.url, retry=retry) as player:
        wait_for(lambda: camera.sessions == 3)
        assert player.camera.status.last_error
