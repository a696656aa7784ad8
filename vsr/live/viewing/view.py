"""One view of one camera, and who watches it. Belongs to the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction

from av.error import FFmpegError

from vsr.live.packets import TICKS
from vsr.live.serving.access_units import AccessUnit, AudioParameters
from vsr.live.viewing.fragments import SOUND_RATE
from vsr.live.viewing.packager import Packager
from vsr.live.viewing.part_playlist import TARGET_S
from vsr.live.viewing.sound import SoundEncoder

_START_S = 20.0
"""How long the first picture may take: an encoder starts, and a camera may have seconds between keyframes."""
_BLOCK_S = 3.0 * TARGET_S
"""How long a request for what is not there yet may wait, by the standard."""
_UNUSED_S = 10.0
"""Who plays HLS asks several times a second; silent for so long, all have left."""
_LATE = TICKS // 50
"""A picture that is shown so long after it is decoded waits for others between."""
_MOST_BACK = TICKS
"""Pictures go back by no more in another order; else it is another clock."""
_MOST_SOUND = 100
"""Packets that wait for their pictures: two seconds."""


class NotThereError(Exception):
    """What is asked for does not come, or no longer."""


Encoded = tuple[bytes, int, Fraction]
"""A coded picture or packet of sound, its time, and the unit of that."""


class Viewer:
    """Somebody who gets packets as they come: pictures from a keyframe on."""

    def __init__(self, picture: Callable[[Encoded], None], sound: Callable[[Encoded], None]):
        self.picture, self.sound = picture, sound
        self.has_begun = False


class View:
    """Hands on what comes to WebRTC as it is, and to HLS in parts.

    Args:
        want: begins or ends the subscription to units.
    """

    def __init__(self, want: Callable[[bool], None]):
        self._want, self._wanted, self._is_closed = want, False, False
        self._packager = Packager()
        self._viewers: set[Viewer] = set()
        self._used_s = 0.0
        self._bell = asyncio.Event()
        self._latest: AccessUnit | None = None
        self.why_no_webrtc = ""
        """Why browsers cannot take these pictures by WebRTC; empty while they can."""
        self._opus: SoundEncoder | None = None
        self._opus_of: AudioParameters | None = None
        self._sound: deque[Encoded] = deque(maxlen=_MOST_SOUND)

    @property
    def num_viewers(self) -> int:
        """How many watch by WebRTC."""
        return len(self._viewers)

    @property
    def is_watched_by_hls(self) -> bool:
        return asyncio.get_running_loop().time() - self._used_s < _UNUSED_S

    def look_after(self) -> None:
        """Begin or end what is wanted; to be called now and then."""
        wanted = bool(self._viewers) or self.is_watched_by_hls
        if wanted != self._wanted:
            self._wanted = wanted
            self._want(wanted)
            if not wanted:
                self._packager.forget()
                self._rest()

    def _rest(self) -> None:
        """What comes next does not go on from what has been."""
        self._latest, self._opus_of, self.why_no_webrtc = None, None, ""
        self._sound.clear()

    def close(self) -> None:
        """Let nobody wait any more."""
        self._is_closed = True
        self._ring()

    def ended(self) -> None:
        """Nothing comes any more, unless it is wanted anew."""
        self._wanted = False
        self._packager.end()
        self._rest()

    def put(self, unit: AccessUnit) -> None:
        """Take a unit."""
        has_news = self._latest is None
        with suppress(FFmpegError, IndexError, ValueError):  # a damaged keyframe: the next one begins anew
            has_news = self._packager.put(unit) or has_news
        if unit.kind == "audio":
            self._hear(unit)
        else:
            self._show(unit)
        if has_news:
            self._ring()

    def _ring(self) -> None:
        self._bell.set()
        self._bell = asyncio.Event()

    def _show(self, unit: AccessUnit) -> None:
        self.why_no_webrtc = self._why_no_webrtc(unit)
        self._latest = unit
        picture = (unit.data, unit.pts_90k, Fraction(1, TICKS))
        # Sound is not changed and so comes sooner: it waits for its pictures, or a browser would show them late.
        sound = []
        while self._sound and self._sound[0][1] * TICKS <= unit.pts_90k * SOUND_RATE:
            sound.append(self._sound.popleft())
        for viewer in list(self._viewers):
            viewer.has_begun = viewer.has_begun or unit.keyframe
            if viewer.has_begun and not self.why_no_webrtc:
                viewer.picture(picture)
                for packet in sound:
                    viewer.sound(packet)

    def _why_no_webrtc(self, unit: AccessUnit) -> str:
        latest = self._latest
        if unit.codec != "h264":
            return "the camera sends H.265, which goes by HLS alone"
        is_late = unit.pts_90k - unit.dts_90k > _LATE
        if is_late or (latest is not None and 0 < latest.pts_90k - unit.pts_90k < _MOST_BACK):
            return "the camera sends B-frames, which go by HLS alone"
        return self.why_no_webrtc if latest is not None and latest.parameters == unit.parameters else ""

    def _hear(self, unit: AccessUnit) -> None:
        if not self._viewers:
            return
        if isinstance(unit.parameters, AudioParameters) and unit.parameters != self._opus_of:
            self._opus_of, self._opus = unit.parameters, None
            with suppress(FFmpegError, ValueError):  # or pictures go on without it
                self._opus = SoundEncoder(unit.parameters, "libopus")
        if self._opus is not None:
            self._sound.extend((data, pts, Fraction(1, SOUND_RATE)) for data, pts in self._opus.packets(unit))

    def add(self, viewer: Viewer) -> None:
        """Let somebody watch."""
        self._viewers.add(viewer)
        self.look_after()

    def remove(self, viewer: Viewer) -> None:
        """Let somebody go. Harmless twice."""
        self._viewers.discard(viewer)

    async def first(self) -> None:
        """Wait for the first picture.

        Raises:
            NotThereError: nothing comes.
        """
        await self._until(lambda: self._latest is not None, _START_S)

    async def playlist(self, number: int | None, part: int | None) -> str:
        """The playlist, once it holds a part (or a whole segment) by its numbers; as it is where none is named.

        Raises:
            NotThereError: nothing comes.
            ValueError: it is too far ahead.
        """
        await self._until(lambda: self._packager.is_listed, _START_S)
        if number is not None:
            if number > self._packager.next_part[0] + 1:
                raise ValueError("that is too far ahead")
            wanted = (number, part) if part is not None else (number + 1, -1)
            await self._until(lambda: self._packager.next_part > wanted, _BLOCK_S)
        return self._packager.playlist()

    async def piece(self, name: str) -> bytes:
        """A head, a segment or a part; the next one is waited for.

        Raises:
            NotThereError: there is none.
        """
        number, part = self._packager.next_part
        if name == f"{number}.{part}.m4s":
            await self._until(lambda: self._packager.piece(name) is not None, _BLOCK_S)
        self._use()
        found = self._packager.piece(name)
        if found is None:
            raise NotThereError("there is no such piece, or no longer")
        return found

    def _use(self) -> None:
        self._used_s = asyncio.get_running_loop().time()
        self.look_after()

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for something, and be used meanwhile."""
        end = asyncio.get_running_loop().time() + seconds
        while not condition():
            self._use()
            left = end - self._used_s
            if left <= 0 or self._is_closed:
                raise NotThereError("nothing comes of this camera")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._bell.wait(), min(left, 1.0))
        self._use()
