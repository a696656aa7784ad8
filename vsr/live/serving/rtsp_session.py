"""One player: what it has set up, and the task that sends to it. Runs in the server's event loop."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from vsr.live.serving.access_units import AccessUnit, VideoParameters
from vsr.live.serving.broadcast import StreamParameters, Subscription
from vsr.live.serving.hub import Hub
from vsr.live.serving.rtp import RtpStream, payload_format

_KNOWN_S = 18.0
"""How long a player waits for a service, a camera or an encoder to start, or for a camera's next keyframe: most players
give up at an error, GStreamer's after 20 s without an answer."""
_PAST_S = 0.5
"""How old the keyframe may be that it begins with: players stay as late as they begin."""
_REPORTS_S = 5.0
"""Between two sender reports of a track."""


class Carrier(Protocol):
    """What brings packets to a player."""

    async def send(self, packets: list[bytes], reports: list[bytes]) -> None:
        """Send packets of RTP, and before them reports of RTCP; waits while the player takes nothing.

        Raises:
            OSError, TimeoutError: it has gone, or has taken nothing for long.
        """
        ...


@dataclass
class PlayerTrack:
    """A track that is set up."""

    stream: RtpStream
    carrier: Carrier
    next_report_s: float = 0.0


class Waker:
    """Wakes sessions from other threads, all that there are by one call into the event loop: a call for each would cost
    more than what they do."""

    def __init__(self) -> None:
        self.sessions: set[RtspSession] = set()
        self._loop = asyncio.get_running_loop()

    def wake(self) -> None:
        """Wake those for whom something waits. From any thread."""
        self._loop.call_soon_threadsafe(self._wake_all)

    def _wake_all(self) -> None:
        for session in self.sessions:
            session.wake()


class RtspSession:
    """What one connection watches.

    Args:
        hub: where from.
        name: of the broadcast.
        waker: wakes it when something has come.
        over: called when nothing more comes by itself.

    Raises:
        LookupError: there is no such broadcast.
    """

    def __init__(self, hub: Hub, name: str, waker: Waker, over: Callable[[], None]):
        self.name = name
        self.tracks: dict[str, PlayerTrack] = {}
        self.described = StreamParameters()
        """What the player has been told."""
        self._hub, self._waker, self._over = hub, waker, over
        self._ready = asyncio.Event()
        self._subscription: Subscription | None = self._subscribe()  # the encoder begins
        self._sending: asyncio.Task[None] | None = None

    def _subscribe(self) -> Subscription:
        made = self._hub.subscribe(self.name, past_s=_PAST_S, wake=self._waker.wake)
        self._waker.sessions.add(self)
        return made

    def wake(self) -> None:
        """Go on where something waits."""
        if self._subscription is not None and self._subscription.waits:
            self._ready.set()

    @property
    def playing(self) -> bool:
        """Whether something is sent to it."""
        return self._sending is not None

    async def describe(self) -> StreamParameters:
        """Wait until it is known what there is to watch; without pictures where that took too long."""
        until = time.monotonic() + _KNOWN_S
        while (source := self._subscription) is not None and not source.ended:
            self.described = source.parameters
            if self.described.video is not None or time.monotonic() >= until:
                break
            self._ready.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ready.wait(), until - time.monotonic())
        return self.described

    def set_up(self, kind: str, carrier: Carrier) -> PlayerTrack | None:
        """Take a track, `video` or `audio`, for being sent; None where there is no such."""
        parameters = self.described.video if kind == "video" else self.described.audio
        format = payload_format(parameters) if parameters is not None else None
        if format is None:
            return None
        self.tracks[kind] = PlayerTrack(RtpStream(format), carrier)
        return self.tracks[kind]

    def play(self) -> None:
        """Begin to send, from a keyframe on."""
        if self._sending is None:
            self._close_subscription()
            self._subscription = self._subscribe()
            self._sending = asyncio.create_task(self._send(self._subscription))

    def pause(self) -> None:
        """Send nothing more, for now."""
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        self._close_subscription()

    def close(self) -> None:
        """Watch no more. Harmless twice."""
        self.pause()

    def _close_subscription(self) -> None:
        if self._subscription is not None:
            self._waker.sessions.discard(self)
            self._subscription.close()
            self._subscription = None

    async def _send(self, source: Subscription) -> None:
        """Work of the sending task: until the player or the broadcast goes, or this is cancelled."""
        with contextlib.suppress(OSError, TimeoutError):
            while not source.ended:
                unit = source.take()
                if unit is None:
                    self._ready.clear()
                    if not source.waits:
                        await self._ready.wait()
                elif self._is_as_described(unit):
                    await self._send_unit(unit)
                elif unit.kind == "video":
                    break  # another codec: the player must ask anew
        self._over()

    async def _send_unit(self, unit: AccessUnit) -> None:
        track = self.tracks.get(unit.kind)
        if track is None:
            return
        reports: list[bytes] = []
        if time.monotonic() >= track.next_report_s:
            track.next_report_s = time.monotonic() + _REPORTS_S
            reports.append(track.stream.report(unit))
        await track.carrier.send(track.stream.packets(unit), reports)

    def _is_as_described(self, unit: AccessUnit) -> bool:
        """Whether the player can make something of it: pictures may have another size by now, sound is what it was."""
        if isinstance(unit.parameters, VideoParameters):
            return self.described.video is not None and unit.codec == self.described.video.codec
        return unit.parameters == self.described.audio
