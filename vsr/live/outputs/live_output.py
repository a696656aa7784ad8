"""One output of an encode: a process that muxes, and a thread that feeds it, judges it and starts it again.

A process that dies, or acknowledges nothing for a while, is killed and restarted after a growing pause, from
a keyframe. Neither the encode nor the other outputs notice.
"""

import os
import select
import sys
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Literal

from vsr.errors import ConfigError, SinkError, redact
from vsr.live import child_pipes
from vsr.live.address import Address
from vsr.live.newest_wins import in_background
from vsr.live.outputs.feeder import SILENCE_S, Feeder
from vsr.live.outputs.packet_queue import PacketQueue
from vsr.live.packets import END, VIDEO, Message
from vsr.live.push.order import PushOrder
from vsr.live.push.recording import finish_parts
from vsr.live.push.srt import hidden_options
from vsr.live.retry import Backoff, Retry
from vsr.media import check_standard_output, find_ffmpeg_with

_RETRY = Retry(longest_s=10.0, soon_s=2.0)
"""Each attempt costs the start of a process."""
_STEADY_S = 10.0
"""A process that has lived so long begins with short pauses again."""
_RATE_S = 2.0
"""Over how long a bit rate is averaged."""

_PROMISED_S = 10.0
"""How long frames may come while an output gets nothing to send."""

OutputState = Literal["waiting", "opening", "running", "starved", "paused", "restarting", "closed", "failed"]


@dataclass(frozen=True)
class OutputStatus:
    """How an output does."""

    kind: str
    target: str
    """Without secrets."""
    state: OutputState
    """`waiting` for the first packets; `starved`: the camera plays and nothing of it comes; `paused`: there is no
    room, or whoever reads takes nothing; `failed`: it cannot work as configured."""
    restarts: int = 0
    bytes: int = 0
    """Sent so far."""
    bitrate_kbps: float = 0.0
    dropped: int = 0
    """Packets that it was too slow for."""
    note: str = ""
    """What it said last: why it was restarted or pauses, or what could not go along."""


class LiveOutput:
    """One output. `put` may be called from any thread and never waits; `close` ends it.

    Args:
        order: where to and how. Credentials are read at every start, so that a changed password is taken up.
    """

    def __init__(self, order: PushOrder):
        self._order, self.options = order, (options := order.output)
        # Who reads a pipe may pause, and the half of a packet would be in the way of all that follows.
        self.silence_s = float("inf") if options.kind == "stdout" else SILENCE_S
        self._stdout = -1
        files = options.kind in ("record", "hls")
        # A recording may catch up with a slow disk; whoever watches wants now.
        self._queue = PacketQueue(max_s=30.0 if files else 4.0, max_bytes=(64 if files else 16) << 20)
        self._live = not files
        self._state: OutputState = "waiting"
        self._address = Address("", options.kind, "")
        self._restarts, self._bytes, self._note = 0, 0, ""
        self._sent: deque[tuple[float, int]] = deque()
        self._sent_s = self._came_s = time.monotonic()
        self._streams: dict[int, Message] = {}
        self._closing_s = 0.0
        self._child: child_pipes.PipedChild | None = None
        self._check()
        self._done = in_background(self._run, name=f"vsr-out-{options.kind}")

    def _check(self) -> None:
        self._address = self.options.address
        if self.options.kind == "stdout":
            check_standard_output()
            self._stdout = os.dup(1)
        if self.options.kind == "srt":
            try:
                _ = self._sender
            except SinkError as error:
                raise ConfigError(f"{self._address.shown} cannot be sent: {error}") from None

    @property
    def _sender(self) -> str:
        """The program that sends SRT."""
        hidden = hidden_options(self._address.url)[1]
        return find_ffmpeg_with("srt", hides=bool(hidden))

    @property
    def wanted(self) -> bool:
        """Packets always are."""
        return True

    @property
    def pid(self) -> int | None:
        """Process number of the child, where one runs."""
        child = self._child
        return child.child.pid if child else None

    @property
    def status(self) -> OutputStatus:
        """How it does; from any thread."""
        sent, now = list(self._sent), time.monotonic()
        restarts = self._restarts  # before the state, which changes first
        recent = sum(size for when, size in sent if now - when < _RATE_S)
        return OutputStatus(
            self.options.kind,
            self._address.shown,
            self._state,
            restarts,
            self._bytes,
            recent * 8 / 1000 / _RATE_S,
            self._queue.dropped,
            self._note,
        )

    def judged(self, flows_s: float) -> OutputStatus:
        """How it does, where the camera's frames have come for so many seconds: what was promised and does not happen
        is an error."""
        status = self.status
        idle_s = min(flows_s, time.monotonic() - self._sent_s)
        if idle_s > _PROMISED_S and status.state == "running" and self._came_s > self._sent_s:
            return replace(
                status, state="paused", note="whoever reads takes nothing; what it misses is dropped"
            )
        if idle_s > _PROMISED_S and status.state in ("waiting", "running"):
            note = status.note or "the camera plays, and nothing of it comes that could be sent"
            return replace(status, state="starved", note=note)
        return status

    def put(self, message: Message) -> None:
        """Hand over a description or a packet."""
        if not self._closing_s:
            if not message.describes:
                self._came_s = time.monotonic()
            self._queue.put(message)

    def close(self) -> None:
        """Finish what is being written, for four seconds at most, and end
        process and thread. Harmless twice."""
        self.begin_close(time.monotonic() + 4.0)
        self._done.result()

    def begin_close(self, until: float) -> None:
        """Begin to finish, without waiting: several outputs end at the same
        time, by `time.monotonic()` `until`."""
        if self._closing_s:
            return
        self._closing_s = until
        self._queue.put(Message(END, b""))
        child = self._child
        if child is not None:
            child.wake()

    # What follows runs in the output's own thread.

    def _run(self) -> None:
        backoff = Backoff(_RETRY)
        try:
            while self._await_start():
                began = time.monotonic()
                reason = self._once()
                if not reason:  # it came to a good end: closed, or streams of another kind
                    continue
                if self._closing_s:
                    self._note = self._hide(reason)
                    break
                self._note, self._state = self._hide(reason), "restarting"
                self._restarts += 1
                if time.monotonic() - began > _STEADY_S:
                    backoff.worked()
                self._sleep(backoff.next_s())
            self._state = "closed"
        except BaseException as error:
            self._state, self._note = "failed", self._hide(str(error))
            raise
        finally:
            self._closing_s = self._closing_s or time.monotonic()
            self._queue.close()
            if self._stdout >= 0:
                os.close(self._stdout)

    def _await_start(self) -> bool:
        """Wait for a keyframe to begin with and take in the descriptions
        before it; False when all is over."""
        while not self._closing_s or time.monotonic() < self._closing_s:
            while (message := self._queue.take()) is not None:
                if message.stream == END:
                    return False
                if message.describes:
                    self.changes(message)
                elif message.keyframe and VIDEO in self._streams:
                    self._queue.give_back(message)
                    return True
            self._sleep(1.0)
        return False

    def _sleep(self, seconds: float) -> None:
        """Wait until something comes, or when closing not at all."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._closing_s:
            waiting = select.select([self._queue.wakeup_fd], [], [], left)[0]
            self._queue.clear_wakeup()
            if waiting and self._state != "restarting":
                return

    def _once(self) -> str:
        """Run one process to its end; return why it ended, empty where it was meant to."""
        self._state = "opening"
        try:
            self._address = self.options.address
            arguments = [sys.executable, "-P", "-m", "vsr.live.push"]
            inherits = [self._stdout] if self._stdout >= 0 else []
            self._child = child = child_pipes.start(arguments, inherits=inherits)
        except (ConfigError, SinkError) as error:
            return str(error)
        try:
            reason = Feeder(self, child, self._queue, self._greeting()).run()
            if not reason:
                return ""
            child.child.kill()
            return child.child.log.strip().rpartition("\n")[2] or reason
        finally:
            self._child = None
            child.close()
            if self._closing_s and self.options.kind == "record":
                finish_parts(self._order)

    def _hide(self, text: str) -> str:
        return redact(self._address.redact(text))

    def _greeting(self) -> bytes:
        ffmpeg = self._sender if self.options.kind == "srt" else ""
        order = replace(self._order, num_streams=len(self._streams), ffmpeg=ffmpeg, stdout=self._stdout)
        descriptions = b"".join(self._streams[index].pack() for index in sorted(self._streams))
        return order.to_line(self._address) + descriptions

    @property
    def closing_s(self) -> float:
        """When all must be over, by `time.monotonic()`; 0 while nobody wants that."""
        return self._closing_s

    def changes(self, description: Message) -> bool:
        """Take in what a stream is from now on; say whether that is new."""
        if self._streams.get(description.stream) == description:
            return False
        self._streams[description.stream] = description
        return True

    def hear(self, news: str) -> None:
        """Take in a line of the child's."""
        if news == "open":
            self._state = "running"
            self._queue.restart(newest=self._live)
            return
        self._note = self._hide(news.removeprefix("note: "))
        if self._state in ("running", "paused") and not news.startswith("note: "):
            self._state = "paused" if news.startswith("paused") else "running"

    def count(self, size: int) -> None:
        """Take note of bytes that are sent."""
        now = time.monotonic()
        self._bytes, self._sent_s = self._bytes + size, now
        self._sent.append((now, size))
        while now - self._sent[0][0] > _RATE_S:
            self._sent.popleft()
