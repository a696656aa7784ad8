"""How often what is left to chance is done: a share of it each time, the whole with `VSR_WHOLE=1`."""

import os


def times(whole: int, *, share: int) -> int:
    """Choose between the number that was promised and the one that there is time for before each change."""
    return whole if os.environ.get("VSR_WHOLE") else share
