"""Sound that a target cannot hold arrives converted: heard at its times, with its silence."""

import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from support.clips import ClipOptions, write_clip

from vsr.live.packets import Message, describe_stream, packet_message
from vsr.live.push.muxer import Muxer

RATE, CHUNK = 8000, 160
AAC = frozenset({"aac"})


def beeps(seconds: float) -> np.ndarray:
    """One second of a tone, one of silence, and so on."""
    t = np.arange(int(seconds * RATE)) / RATE
    return (np.sin(2 * np.pi * 440 * t) * 8000 * (t % 2 < 1)).astype(np.int16)


def messages(path: Path, codec: str, seconds: float) -> list[Message]:
    """What a camera with such sound sends: its description and packets of 20 ms."""
    bits = {"g726": "4", "g726le": "5"}.get(codec)
    with av.open(str(path), "w", format=codec if codec == "g726le" else "wav") as container:
        stream = container.add_stream(
            codec, rate=RATE, layout="mono", options={"code_size": bits} if bits else {}
        )
        if bits:
            stream.bit_rate = int(bits) * RATE
        for number, part in enumerate(np.split(beeps(seconds), int(seconds * RATE) // CHUNK)):
            frame = av.AudioFrame.from_ndarray(part[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, number * CHUNK, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    options = {"format": "g726le", "options": {"code_size": "5"}} if codec == "g726le" else {}
    with av.open(str(path), **options) as container:
        [stream] = container.streams
        return [describe_stream(stream), *filter(None, map(packet_message, container.demux()))]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> list[Message]:
    clip = ClipOptions(num_frames=150, size=(64, 64), gop=25, b_frames=0)
    with av.open(str(write_clip(tmp_path_factory.mktemp("sound") / "clip.mp4", clip))) as container:
        [stream] = container.streams
        return [describe_stream(stream), *filter(None, map(packet_message, container.demux()))]


def muxed(path: Path, format: str, pictures: list[Message], sound: list[Message], **options) -> list[str]:
    with Muxer(str(path), format=format, streams=[pictures[0], sound[0]], **options) as muxer:
        for message in sorted([*pictures[1:], *sound[1:]], key=lambda one: one.pts * one.time_base):
            muxer.mux(message)
    return muxer.notes


def loud(path: Path) -> dict[float, bool]:
    """Whether there is sound in each quarter of a second."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    parts: dict[float, float] = {}
    for frame in frames:
        samples = frame.to_ndarray().astype(float) / (1 if frame.format.name == "fltp" else 32768)
        quarter = round(frame.time * 4) / 4
        parts[quarter] = max(parts.get(quarter, 0.0), float(samples.std()))
    return {time_s: level > 0.05 for time_s, level in parts.items()}


@pytest.mark.parametrize("codec", ["pcm_alaw", "pcm_mulaw", "g726", "g726le"])
def test_telephone_sound_is_recorded_sample_for_sample(tmp_path, pictures, codec):
    sound = messages(tmp_path / "sound", codec, 6)
    notes = muxed(tmp_path / "out.mkv", "matroska", pictures, sound, spare="pcm_s16le")
    assert notes == [f"audio {codec} does not fit into matroska; it is sent as pcm_s16le"]
    with av.open(str(tmp_path / "out.mkv")) as container:
        heard = np.concatenate([f.to_ndarray().reshape(-1) for f in container.decode(audio=0)])
        assert container.streams.audio[0].codec_context.name == "pcm_s16le"
    meant = beeps(6)
    assert len(heard) == len(meant)
    assert np.abs(heard - meant.astype(float)).mean() < 600


@pytest.mark.parametrize(("format", "name"), [("mp4", "out.mp4"), ("mpegts", "out.ts"), ("flv", "out.flv")])
def test_elsewhere_it_becomes_aac_at_the_same_times(tmp_path, pictures, format, name):
    sound = messages(tmp_path / "sound", "pcm_alaw", 6)
    muxed(tmp_path / name, format, pictures, sound, audio=AAC)
    with av.open(str(tmp_path / name)) as container:
        context = container.streams.audio[0].codec_context
        assert (context.name, context.sample_rate, context.layout.name) == ("aac", 48_000, "mono")
    heard = loud(tmp_path / name)
    for second in range(5):
        assert heard[second + 0.5] == (second % 2 == 0)


def test_a_gap_in_the_sound_stays_a_gap_and_damaged_packets_are_left_out(tmp_path, pictures):
    sound = messages(tmp_path / "sound", "pcm_s16le", 6)
    kept = [one for one in sound[1:] if not 2 <= one.pts * one.time_base < 4]
    kept.insert(3, replace(kept[3], data=b"?", pts=kept[3].pts - 1, dts=kept[3].pts - 1))  # half a sample
    muxed(tmp_path / "out.mp4", "mp4", pictures, [sound[0], *kept], audio=AAC)
    heard = loud(tmp_path / "out.mp4")
    assert heard[4.5]
    assert not heard[5.25]
    with av.open(str(tmp_path / "out.mp4")) as container:
        times = [packet.pts * packet.time_base for packet in container.demux(audio=0) if packet.size]
    steps = [float(b - a) for a, b in itertools.pairwise(times)]
    assert min(steps) > 0
    assert sum(step > 1.5 for step in steps) == 1


def test_sound_that_fits_is_passed_through_untouched(tmp_path, pictures):
    sound = messages(tmp_path / "sound", "pcm_alaw", 2)
    notes = muxed(tmp_path / "out.wav.nut", "nut", pictures, sound, audio=frozenset({"pcm_alaw"}))
    assert notes == []
    with av.open(str(tmp_path / "out.wav.nut")) as container:
        passed = b"".join(bytes(packet) for packet in container.demux(audio=0) if packet.size)
    assert passed == b"".join(message.data for message in sound[1:])
