"""How long to wait before something that failed is tried again."""

import random
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


class Backoff:
    """The waits of one thing that is tried again and again. Used by one thread."""

    def __init__(self, retry: Retry = Retry()):
        self._retry, self._failures = retry, 0

    def worked(self) -> None:
        """Begin with short waits again."""
        self._failures = 0

    def next_s(self, *, refused: bool = False) -> float:
        """Return the seconds to wait now: half to all of the longest wait at this stage."""
        first, longest = self._retry.first_s, self._retry.longest_s
        if refused:
            first, longest = self._retry.refused_s, self._retry.refused_longest_s
        wait_s = min(longest, first * 2 ** min(self._failures, 30))
        self._failures += 1
        return wait_s * random.uniform(0.5, 1.0)
