"""Rung whenever something has changed, by any thread; the server's loop waits for it."""

import asyncio
import contextlib


class Bell:
    """Made in the loop that waits for it."""

    def __init__(self) -> None:
        self._loop, self._next = asyncio.get_running_loop(), asyncio.Event()
        self.is_closed = False
        """The server ends: nobody should wait any more."""

    def ring(self) -> None:
        """Wake all who wait; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        rung, self._next = self._next, asyncio.Event()
        rung.set()

    def close(self) -> None:
        """Ring for the last time."""
        self.is_closed = True
        self._ring()

    @property
    def next(self) -> asyncio.Event:
        """Set at the next ring. Take it before looking at what may change, or a ring is missed."""
        return self._next


async def rung(ring: asyncio.Event, within_s: float) -> bool:
    """Wait for a ring, but not longer than so; tells whether it came."""
    try:
        async with asyncio.timeout(within_s):
            await ring.wait()
    except TimeoutError:
        return False
    return True
