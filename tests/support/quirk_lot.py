"""Cameras to draw by lot, each with one of the quirks that `docs/live.md` says real ones have."""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.clips import ClipOptions, write_clip
from support.quirky_camera import QuirkyCamera, Sent, Track, metadata, pictures, sound

RATE, NUM_FRAMES = 10, 256
"""Frames a second, and those of a clip, after which it begins anew: five turns of the numbers of sound."""
_SIZES = (120, 160), (96, 128)
_SILENT_S = 0.5
"""A camera that has sent no picture for so long is silent itself."""


def write_clips(folder: Path) -> list[Path]:
    """The same pictures in two sizes, as a camera would send them."""
    coded = {"bf": "0", "tune": "zerolatency", "x264-params": "aud=1:repeat-headers=1"}
    return [
        write_clip(
            folder / f"{size[0]}.h264",
            ClipOptions(num_frames=NUM_FRAMES, size=size, gop=RATE, codec_options=coded),
        )
        for size in _SIZES
    ]


@dataclass(frozen=True)
class Quirk:
    """A kind of camera: what it sends, and how its server answers."""

    tracks: Callable[[list[Path], random.Random], list[Track]]
    """By the clips and the lot; pictures first."""
    session_s: tuple[float, float] = (1e9, 1e9)
    """It hangs up after a time between these."""
    tcp: str = ""
    """What it answers where packets are wanted by TCP."""
    tells_time: bool = True
    """Reports say what times of sound and pictures mean, so that both can be together within 100 ms; else 300."""


def _clock(moment: float) -> float:
    return 1.8e9 + moment


def _seen(clip: Path, **options: Any) -> Track:
    def at(number: int) -> float:
        return number / RATE

    return pictures(clip, **{"rate": RATE, "due_s": at, "time_s": at, "reports_s": _clock, **options})


def _heard(**options: Any) -> Track:
    return sound(**{"reports_s": _clock, **options})


def _stalling(every_s: float) -> Callable[[int], float]:
    """The link stalls for 0.9 s now and then; what was held up comes at once."""
    return lambda number: max(number / RATE, number / RATE // every_s * every_s + 0.9)


def _pausing(every_s: float) -> Callable[[int], float | None]:
    """Pictures are left out for 3 s now and then, while what else there is goes on."""
    return lambda number: number / RATE if number / RATE % every_s >= 3 else None


def _of_another_size(clips: list[Path]) -> Track:
    """Of another size in each session, said in the stream alone."""
    turns = itertools.cycle(_seen(clip, described=False) for clip in clips)
    return Track(_seen(clips[0], described=False).sdp, lambda: next(turns).play())


QUIRKS = {
    "plain": Quirk(lambda clips, lot: [_seen(clips[0]), _heard()]),
    "bursts": Quirk(lambda clips, lot: [_seen(clips[0], due_s=_stalling(lot.uniform(4, 9))), _heard()]),
    "hangs up": Quirk(lambda clips, lot: [_seen(clips[0]), _heard()], session_s=(8, 40)),
    "another size": Quirk(lambda clips, lot: [_of_another_size(clips), metadata()], session_s=(20, 60)),
    "goes silent": Quirk(
        lambda clips, lot: [_seen(clips[0], due_s=_pausing(lot.uniform(15, 40))), metadata()]
    ),
    "mad times": Quirk(
        lambda clips, lot: [
            _seen(clips[0], time_s=lambda number: number / RATE + 37_600 * (number % 50 == 7)), _heard()
        ]
    ),
    "fast clock": Quirk(
        lambda clips, lot: [_seen(clips[0], time_s=lambda number: number / RATE * 1.001), metadata()]
    ),
    "times jump": Quirk(
        lambda clips, lot: [
            _seen(clips[0], time_s=lambda number: number / RATE + number // 300 * 1000), metadata()
        ]
    ),
    "sound of 1970": Quirk(
        lambda clips, lot: [_seen(clips[0]), _heard(reports_s=lambda moment: moment)], tells_time=False
    ),
    "sound an hour off": Quirk(
        lambda clips, lot: [_seen(clips[0]), _heard(reports_s=lambda moment: _clock(moment) + 3600)],
        tells_time=False,
    ),
    "no reports": Quirk(lambda clips, lot: [_seen(clips[0], reports_s=None), sound()], tells_time=False),
    "UDP alone": Quirk(lambda clips, lot: [_seen(clips[0]), _heard()], tcp="461 Unsupported transport"),
    "no parameter sets": Quirk(lambda clips, lot: [_seen(clips[0], described=False), _heard()]),
}  # fmt: skip


class DrawnCamera:
    """A camera of a kind, whose server is to be entered, and when it sent pictures."""

    def __init__(self, name: str, kind: str, clips: list[Path], lot: random.Random):
        self.name, self.kind, self.quirk = name, kind, QUIRKS[kind]
        first, *others = self.quirk.tracks(clips, lot)
        self.has_sound = any("PCMA" in track.sdp for track in others)
        noted = Track(first.sdp, lambda: self._noted(first.play()))
        self.server = QuirkyCamera(
            noted, *others, tcp=self.quirk.tcp, session_s=lot.uniform(*self.quirk.session_s)
        )
        self._sent_s = self._since_s = 0.0

    def _noted(self, sending: Iterator[Sent]) -> Iterator[Sent]:
        for sent in sending:
            yield sent
            now = time.monotonic()  # whoever asks for the next one has sent this one
            if now - self._sent_s > _SILENT_S:
                self._since_s = now
            self._sent_s = now

    def sends_since_s(self, now: float) -> float | None:
        """Since when it has sent pictures without a pause, by `time.monotonic()`; None while it sends none."""
        return self._since_s if now - self._sent_s <= _SILENT_S else None


def draw_cameras(num_cameras: int, clips: list[Path], seed: int) -> list[DrawnCamera]:
    """Cameras of different kinds; the same seed draws the same."""
    lot = random.Random(seed)
    kinds = lot.sample(sorted(QUIRKS), num_cameras)
    return [DrawnCamera(f"cam{index}", kind, clips, lot) for index, kind in enumerate(kinds)]
