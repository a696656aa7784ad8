"""Feeding the process of one output: without ever blocking on it, and with
an eye on whether it still works."""

import os
import select
import subprocess
import time
from typing import Protocol

from vsr import offspring
from vsr.live.child_pipes import PipedChild
from vsr.live.outputs.packet_queue import PacketQueue
from vsr.live.packets import END, Message

SILENCE_S = 5.0
"""Without an acknowledgement for so long while something is under way, a receiver counts as frozen as a rule."""
_OPEN_S = 15.0
"""How long starting and connecting may take."""
_QUIET_S = 0.5
"""After so long without a word, processor time tells whether a process is at work: on a busy machine it may take
minutes to start, and one that is killed for that has to be started again."""
_END_S = 2.5
"""How long a process may take to write what belongs to the end."""


class FedOutput(Protocol):
    """Whose process is fed."""

    silence_s: float
    """How long its receiver may acknowledge nothing."""

    @property
    def closing_s(self) -> float:
        """When all must be over, by `time.monotonic()`; 0 while nobody wants that."""
        ...

    def changes(self, description: Message) -> bool:
        """Take in what a stream is from now on; say whether that is new, which ends the process."""
        ...

    def hear(self, news: str) -> None:
        """Take in a line of the process's."""
        ...

    def count(self, size: int) -> None:
        """Take note of bytes that are sent."""
        ...


class Feeder:
    """Feeds one process: writes without blocking, counts what it
    acknowledges, says when it has had its time."""

    def __init__(self, owner: FedOutput, child: PipedChild, queue: PacketQueue, greeting: bytes):
        self._owner, self._child, self._queue = owner, child, queue
        self._pending = memoryview(greeting)
        self._heard = b""
        self._under_way = 0
        self._progress_s = time.monotonic()
        self._ticks: int | None = None
        self._open = False
        self._ending_s = 0.0
        os.set_blocking(child.write_end, False)
        os.set_blocking(child.read_end, False)

    def run(self) -> str:
        """Work until the process ends; return what went wrong, empty where it was told to end and did."""
        while True:
            if not self._pending and self._open and not self._ending_s:
                self._next()
            readable = self._wait()
            if readable and not self._listen():
                try:
                    code = self._child.child.wait(1.0)
                except subprocess.TimeoutExpired:
                    code = -1
                return "" if self._ending_s and code == 0 else f"it ended with code {code}"
            if self._pending and not self._send():
                return "it has closed its pipe"
            reason = self._overdue()
            if reason:
                return reason

    def _wait(self) -> bool:
        """Wait until there is something to do, half a second at most; say whether the child has spoken."""
        writing = [self._child.write_end] if self._pending else []
        reading = [self._child.read_end] + ([] if self._pending else [self._queue.wakeup_fd])
        readable = select.select(reading, writing, [], 0.1 if self._owner.closing_s else 0.5)[0]
        if self._queue.wakeup_fd in readable:
            self._queue.clear_wakeup()
        return self._child.read_end in readable

    def _next(self) -> None:
        """Take the next message; one that means another process ends this one."""
        message = self._queue.take()
        if message is None:
            return
        if message.stream == END:
            self._queue.give_back(message)
            self._pending = memoryview(message.pack())
            self._ending_s = time.monotonic() + _END_S
        elif message.describes:
            if self._owner.changes(message):
                self._ending_s = time.monotonic() + _END_S
                self._child.close_input()
        else:
            if not self._under_way:
                self._progress_s = time.monotonic()
            self._under_way += 1
            self._pending = memoryview(message.pack())
            self._owner.count(len(message.data))

    def _send(self) -> bool:
        try:
            self._pending = self._pending[os.write(self._child.write_end, self._pending) :]
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def _listen(self) -> bool:
        """Read lines; False where the child has closed its output."""
        data = os.read(self._child.read_end, 1 << 16)
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            self._progress_s = time.monotonic()
            if not line:
                self._under_way = max(0, self._under_way - 1)
                continue
            self._open = self._open or line == b"open"
            self._owner.hear(line.decode("utf-8", "replace"))
        return bool(data)

    def _overdue(self) -> str:
        """Say what has taken too long, if anything."""
        now = time.monotonic()
        closing = self._owner.closing_s
        if closing and now > closing:
            return "it did not finish in time"
        if self._ending_s and now > self._ending_s:
            return "it did not finish in time"
        if self._open and not self._under_way:
            return ""
        if now - self._progress_s > _QUIET_S and self._works():
            self._progress_s = now - _QUIET_S
        silent_s, silence_s = now - self._progress_s, self._owner.silence_s
        if not self._open:
            return f"it did not open within {_OPEN_S:g} s" if silent_s > _OPEN_S else ""
        return f"the receiver took nothing for {silence_s:g} s" if silent_s > silence_s else ""

    def _works(self) -> bool:
        """Whether the process has used processor time since this was asked last; one that is frozen does not."""
        before, self._ticks = self._ticks, offspring.cpu_ticks(self._child.child.pid)
        return self._ticks != before
