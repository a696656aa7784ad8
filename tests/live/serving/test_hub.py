"""What the hub hands to viewers of a sink that is fed with numbered frames, decoded by PyAV."""

import threading
import time
from contextlib import ExitStack

import av
import pytest
from support.clips import read_number
from support.live_rig import FORMAT

from vsr.frames import PictureFormat
from vsr.live.packets import TICKS
from vsr.live.serving import AccessUnit, Hub, broadcast
from vsr.live.serving.access_units import nal_units


class Watcher:
    """Decodes what one viewer gets, in a thread of its own."""

    def __init__(self, hub: Hub, name: str, **options):
        self.units: list[AccessUnit] = []
        self.numbers: list[int] = []
        self.subscription = hub.subscribe(name, **options)
        self._decoder = av.CodecContext.create("h264", "r")
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        for unit in self.subscription:
            self.units.append(unit)
            if unit.kind == "video":
                self.numbers += [
                    read_number(shown.to_ndarray()[: shown.height])
                    for shown in self._decoder.decode(av.Packet(unit.data))
                ]

    def close(self) -> None:
        self.subscription.close()
        self._thread.join()


@pytest.fixture
def watching():
    with ExitStack() as opened:

        def watch(*arguments, **options) -> Watcher:
            made = Watcher(*arguments, **options)
            opened.callback(made.close)
            return made

        yield watch


def served(hub: Hub):
    return hub.publish("door"), hub.publish("door/original")


def test_nothing_is_encoded_until_somebody_watches_and_some_seconds_after_the_last_has_left(rig, watching):
    hub = Hub(linger_s=0.5)
    live = rig(served=served(hub))
    for _ in range(10):
        live.feed(1)
    assert live.sink.status.written == 0
    assert live.sink.encoder_pid is None
    viewer = watching(hub, "door")
    live.feed_until(lambda: len(viewer.numbers) > 5)
    assert viewer.numbers == list(range(viewer.numbers[0], viewer.numbers[-1] + 1))
    assert viewer.units[0].keyframe
    viewer.close()
    left_s = time.monotonic()
    live.feed_until(lambda: live.sink.encoder_pid is None)
    assert time.monotonic() - left_s > 0.4


def test_any_number_of_viewers_share_one_encode_and_each_begins_at_a_keyframe(rig, watching):
    hub = Hub()
    live = rig(served=served(hub))
    viewers = [watching(hub, "door")]
    live.feed_until(lambda: len(viewers[0].numbers) > 5)
    pid = live.sink.encoder_pid
    viewers += [watching(hub, "door") for _ in range(20)]
    live.feed_until(lambda: all(len(one.numbers) > 10 for one in viewers))
    assert live.sink.encoder_pid == pid
    assert all(one.units[0].keyframe for one in viewers)
    at_first = {id(unit) for unit in viewers[0].units}
    assert all(id(unit) in at_first for one in viewers for unit in one.units[:10])


def test_units_have_parameter_sets_before_each_keyframe_one_clock_and_the_time_of_day(rig, watching):
    hub = Hub()
    live = rig(served=served(hub))
    viewer = watching(hub, "door")
    live.feed_until(lambda: sum(unit.keyframe for unit in viewer.units) > 2)
    known = viewer.subscription.known(0.0).video
    for unit in viewer.units:
        assert unit.codec == "h264"
        assert unit.dts_90k == unit.pts_90k
        assert abs(unit.wall_s - time.time()) < 60
        if unit.keyframe:
            assert [*known.parameter_sets] == [nal for nal in nal_units(unit.data) if nal[0] & 31 in (7, 8)]
    assert (known.height, known.width) == (FORMAT.height, FORMAT.width)
    times = [unit.pts_90k for unit in viewer.units]
    assert times == sorted(set(times))
    walls = {round(unit.wall_s - unit.pts_90k / TICKS, 1) for unit in viewer.units}
    assert max(walls) - min(walls) < 0.2


def test_a_new_size_goes_on_in_the_same_subscription(rig, watching):
    hub = Hub()
    live = rig(served=served(hub))
    viewer = watching(hub, "door")
    live.feed_until(lambda: len(viewer.numbers) > 3)
    other = PictureFormat(120, 160)
    live.feed_until(lambda: viewer.units[-1].parameters.width == 160, format=other)
    assert viewer.numbers == sorted(set(viewer.numbers))
    changed = next(unit for unit in viewer.units if unit.parameters.width == 160)
    assert changed.keyframe
    times = [unit.dts_90k for unit in viewer.units]
    assert times == sorted(set(times))


def test_a_viewer_that_does_not_read_loses_what_waits_up_to_a_keyframe_and_nobody_else_does(
    rig, watching, monkeypatch
):
    monkeypatch.setattr(broadcast, "_WAITING_S", 1.0)
    hub = Hub()
    live = rig(served=served(hub))
    viewer = watching(hub, "door")
    with hub.subscribe("door") as lazy:
        live.feed_until(lambda: lazy.dropped > 5)
        dropped = lazy.dropped
        assert viewer.subscription.dropped == 0
        live.feed_until(lambda: (unit := lazy.take()) is not None and unit.keyframe)
        assert dropped < 500


def test_what_the_camera_sends_is_passed_on_with_its_sound_as_it_came(rig, watching, make_clip):
    path = make_clip(num_frames=40, codec_options={"bf": "0"}, audio=True)
    hub = Hub()
    live = rig(served=served(hub))
    original, enhanced = watching(hub, "door/original"), watching(hub, "door")
    with av.open(str(path)) as container:
        sent = [packet for packet in container.demux() if packet.size]
        sound = [bytes(packet) for packet in sent if packet.stream.type == "audio"]
        for packet in sent:
            live.sink.packet(packet, 0, container.streams)
        live.feed_until(lambda: len(original.numbers) == 40)
    assert original.numbers == list(range(40))
    for viewer in (original, enhanced):
        heard = [unit for unit in viewer.units if unit.kind == "audio"]
        assert [unit.data for unit in heard] == sound
        assert heard[0].codec == "aac"
        assert viewer.subscription.parameters.audio.config
    assert original.subscription.parameters.video.parameter_sets


def test_adts_becomes_bare_aac_and_pictures_without_parameters_get_them(rig, watching, tmp_path, make_clip):
    whole = make_clip(num_frames=30, codec_options={"bf": "0"}, audio=True)
    stream = tmp_path / "clip.ts"
    with av.open(str(whole)) as source, av.open(str(stream), "w") as target:
        copies = {one.index: target.add_stream_from_template(one) for one in source.streams}
        packets = [packet for packet in source.demux() if packet.size]
        frames = [bytes(packet) for packet in packets if packet.stream.type == "audio"]
        for packet in packets:
            packet.stream = copies[packet.stream.index]
            target.mux(packet)
    hub = Hub()
    live = rig(served=served(hub))
    viewer = watching(hub, "door/original")
    with av.open(str(stream)) as container:
        for packet in container.demux():
            live.sink.packet(packet, 0, container.streams)
        live.wait_until(lambda: len(viewer.numbers) >= 29)
    heard = [unit.data for unit in viewer.units if unit.kind == "audio"]
    assert heard == frames[: len(heard)]
    assert len(heard) > 5
    with av.open(str(whole)) as source:
        assert (
            viewer.subscription.parameters.audio.config == source.streams.audio[0].codec_context.extradata[:2]
        )


def test_a_name_that_is_not_there_is_said_and_one_that_goes_ends_its_viewers(watching):
    hub = Hub()
    with pytest.raises(LookupError, match="gate"):
        hub.subscribe("gate")
    hub.publish("door")
    viewer = watching(hub, "door")
    hub.keep(())
    viewer._thread.join(10)
    assert viewer.subscription.ended
    with pytest.raises(LookupError):
        hub.subscribe("door")


def test_an_event_loop_is_woken_for_each_unit_and_for_the_end(rig):
    hub, woken = Hub(), threading.Event()
    live = rig(served=served(hub))
    with hub.subscribe("door", wake=woken.set) as viewer:
        live.feed_until(woken.is_set)
        assert viewer.take() is not None
        while viewer.take() is not None:
            pass
        woken.clear()
        hub.keep(())
        assert woken.is_set()
