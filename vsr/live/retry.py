"""How long to wait before something that failed is tried again."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Retry:
    """Waits that double, each shortened by chance so that many do not come back at once."""

    first_s: float = 0.5
    """The longest first wait."""
    longest_s: float = 30.0
    """What waits grow to."""
    refused_s: float = 5.0
    """The longest first wait after a refusal (password, path, protocol), which time alone seldom mends."""
    refused_longest_s: float = 60.0
    """What those grow to."""
    soon_s: float = 1.0
    """No wait is longer at first, when what worked has just failed: most
    servers that end are started again."""
    soon_for_s: float = 60.0
    """How long that is."""


class Backoff:
    """The waits of one thing that is tried again and again. Used by one thread.

    Args:
        retry: how long they are.
        clock: tells the time in seconds.
    """

    def __init__(self, retry: Retry = Retry(), *, clock: Callable[[], float] = time.monotonic):
        self._retry, self._clock = retry, clock
        self._failures = 0
        self._soon_until = float("-inf")

    def worked(self) -> None:
        """Begin with short waits again: it worked for a while, up to now."""
        self._failures = 0
        self._soon_until = self._clock() + self._retry.soon_for_s

    def next_s(self, *, refused: bool = False, for_good: bool = False) -> float:
        """Return the seconds to wait now: half to all of the longest wait at this stage.

        Args:
            refused: somebody was there and said no.
            for_good: and says so, as to a password, not because it has just been
                started; asking often may lock us out.
        """
        first, longest = self._retry.first_s, self._retry.longest_s
        soon = self._clock() < self._soon_until and not for_good
        if refused and not soon:
            first, longest = self._retry.refused_s, self._retry.refused_longest_s
        wait_s = min(longest, first * 2 ** min(self._failures, 30))
        if soon and wait_s >= self._retry.soon_s:
            wait_s = min(wait_s, self._retry.soon_s)  # and it does not grow meanwhile
        else:
            self._failures += 1
        return wait_s * random.uniform(0.5, 1.0)
