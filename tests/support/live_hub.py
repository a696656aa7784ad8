"""A hub that plays numbered pictures in real time, as a live service fills it, with oddities that a test chooses."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from support.clips import ClipOptions, write_clip
from support.units import AS_LIVE

from vsr.live.packets import AUDIO, Message, describe_stream, packet_message
from vsr.live.serving.hub import Hub

NUM, RATE = 250, 25
"""Pictures of a clip, which is played over and over: numbers tell times of ten seconds apart."""
SMALL, LARGE = (96, 128), (192, 256)
ENCODERS = {
    "h264": ("libx264", AS_LIVE),
    "h265": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none:bframes=0:pools=none"}),
}


def sound_messages(folder: Path, seconds: float) -> list[Message]:
    """A tone in A-law, 20 ms a packet, described first."""
    path, rate, chunk = folder / "tone.wav", 8000, 160
    t = np.arange(int(seconds * rate)) / rate
    tone = (np.sin(2 * np.pi * 440 * t) * 12000).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("pcm_alaw", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        frame.sample_rate = rate
        container.mux([*stream.encode(frame), *stream.encode(None)])
    with av.open(str(path)) as container:
        [stream] = container.streams
        described, base = describe_stream(stream), Fraction(1, rate)
        data = b"".join(bytes(packet) for packet in container.demux())
    return [
        described,
        *(Message(AUDIO, data[at : at + chunk], 1, at, at, chunk, base) for at in range(0, len(data), chunk)),
    ]


class PlayedHub:
    """Publishes `door`, enhanced and original, from its making until it is closed."""

    def __init__(
        self, folder: Path, *, size: tuple[int, int] = SMALL, sound: bool = False, codec: str = "h264"
    ):
        self.hub = Hub(linger_s=0.5)
        self.size = size
        self.is_silent = False
        """Nothing comes, as of a camera that is away where nothing stands in."""
        self.begun_s = time.time()
        """When the first picture was sent; each comes `1 / RATE` seconds after the one before."""
        self._folder, self._encoder = folder, ENCODERS[codec]
        self._clips = {one: self._clip(one) for one in {size, SMALL, LARGE}}
        self._sound = sound_messages(folder, NUM / RATE) if sound else []
        self._publishers = [self.hub.publish("door"), self.hub.publish("door/original")]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def _clip(self, size: tuple[int, int]) -> list[Message]:
        codec, how = self._encoder
        options = ClipOptions(num_frames=NUM, size=size, gop=RATE, codec=codec, codec_options=how)
        path = self._folder / f"{size[0]}.mkv"
        write_clip(path, options)
        with av.open(str(path)) as container:
            [stream] = container.streams
            return [describe_stream(stream), *filter(None, map(packet_message, container.demux()))]  # type: ignore[arg-type]

    def late_s(self, number: int, when: float) -> float:
        """How long after it was sent a picture was seen, by `time.time()`."""
        return (when - self.begun_s - number / RATE) % (NUM / RATE)

    def _play(self) -> None:
        number, size, began = 0, None, time.monotonic()
        self.begun_s = time.time()
        while not self._over.wait(max(0.0, began + number / RATE - time.monotonic())):
            if number % RATE == 0 and size != self.size:
                size = self.size
                self._put(self._clips[size][0])
            if number == 0 and self._sound:
                self._put(self._sound[0])
            if not self.is_silent and size is not None:
                clip, position = self._clips[size], number % NUM
                self._put(_at(clip[1 + position], number))
                for half in range(2 if self._sound else 0):
                    self._put(_at(self._sound[1 + 2 * position + half], number, half * 0.02))
            number += 1

    def _put(self, message: Message) -> None:
        for publisher in self._publishers:
            publisher.put(message)

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self.hub.keep(())


def _at(message: Message, number: int, more_s: float = 0.0) -> Message:
    pts = round((number / RATE + more_s) / message.time_base)
    return replace(message, pts=pts, dts=pts)


@contextmanager
def played_hub(folder: Path, **options: Any) -> Iterator[PlayedHub]:
    made = PlayedHub(folder, **options)
    try:
        yield made
    finally:
        made.close()
