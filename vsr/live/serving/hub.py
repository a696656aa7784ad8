"""All that is served: broadcasts by their names, those who fill them, and the clock that they share."""

import threading
import time
from collections.abc import Callable, Iterable

from vsr.live.packets import AUDIO, TICKS, Message
from vsr.live.serving.access_units import AudioParameters, UnitReader
from vsr.live.serving.broadcast import Broadcast, Subscription


class Hub:
    """The broadcasts of all cameras. Any thread may call anything.

    Args:
        always: whether enhanced pictures are encoded and originals passed on even if nobody watches.
        is_open: whether anybody can watch.
        linger_s: how long that goes on after the last viewer has left.
    """

    def __init__(self, *, always: bool = False, is_open: bool = True, linger_s: float = 10.0):
        self._always, self._is_open, self._linger_s = always, is_open, linger_s
        self._zero_s = time.monotonic()
        self._broadcasts: dict[str, Broadcast] = {}
        self._lock = threading.Lock()

    @property
    def broadcasts(self) -> tuple[Broadcast, ...]:
        """All there are, sorted by name."""
        return tuple(one for _, one in sorted(self._broadcasts.items()))

    def serve(self, *, always: bool, is_open: bool) -> None:
        """Go on in another way; the arguments are the hub's own."""
        with self._lock:
            self._always, self._is_open = always, is_open
            for broadcast in self._broadcasts.values():
                broadcast.always, broadcast.is_open = always, is_open

    def publish(self, name: str) -> "Publisher":
        """Make what fills a broadcast from now on: one that is there goes on, with its viewers."""
        with self._lock:
            if name not in self._broadcasts:
                self._broadcasts[name] = Broadcast(
                    name, always=self._always, is_open=self._is_open, linger_s=self._linger_s
                )
            return Publisher(self._broadcasts[name], self._zero_s)

    def keep(self, names: Iterable[str]) -> None:
        """End all other broadcasts for good."""
        with self._lock:
            gone = [self._broadcasts.pop(name) for name in {*self._broadcasts} - {*names}]
        for broadcast in gone:
            broadcast.end()

    def subscribe(
        self, name: str, *, past_s: float = 0.5, wake: Callable[[], object] = lambda: None
    ) -> Subscription:
        """Watch a broadcast.

        Args:
            name: `NAME` of a camera, or `NAME/original`.
            past_s: begin at the last keyframe if it is no older, else at the next. What is older is there for
                viewers that want a picture at once and can catch up.
            wake: as that of `Subscription`.

        Raises:
            LookupError: there is no such broadcast.
        """
        with self._lock:
            broadcast = self._broadcasts.get(name)
        if broadcast is None:
            raise LookupError(f"there is no {name!r}")
        return Subscription(broadcast, past_s=past_s, wake=wake)


class Publisher:
    """Fills a broadcast with one source's packets: from its threads, never waiting and never raising.

    Args:
        broadcast: what is filled.
        zero_s: when the hub's clock was 0, by `time.monotonic()`.
    """

    def __init__(self, broadcast: Broadcast, zero_s: float):
        self._broadcast, self._zero_s = broadcast, zero_s
        self._reader = UnitReader()
        self._shift: int | None = None
        self._lock = threading.Lock()

    @property
    def wanted(self) -> bool:
        """Whether packets are wanted now; descriptions always are."""
        return self._broadcast.wanted

    @property
    def is_idle(self) -> bool:
        """Whether somebody could watch, and nobody does."""
        return self._broadcast.is_open and not self._broadcast.wanted

    def put(self, message: Message) -> None:
        """Take a description or a packet, as an output does."""
        with self._lock:
            try:
                if message.describes:
                    self._describe(message)
                elif self.wanted:
                    self._read(message)
            except Exception as error:  # whatever it is, the camera and its other outputs go on
                self._broadcast.why = str(error)

    def _describe(self, message: Message) -> None:
        self._reader.describe(message)
        if message.stream == AUDIO:
            self._broadcast.know_sound(self._reader.sound)

    def _read(self, message: Message) -> None:
        now = time.monotonic()
        if self._shift is None:
            arrived = round((now - self._zero_s) * TICKS)
            self._shift = arrived - round(message.pts * message.time_base * TICKS)
        unit = self._reader.read(message, shift=self._shift, wall_s=time.time() - (now - self._zero_s))
        if unit is None:
            return
        if isinstance(unit.parameters, AudioParameters):
            self._broadcast.know_sound(unit.parameters)
        self._broadcast.put(unit)
