"""`python -m vsr.web.healthy`: ends with 0 where a server of this machine answers that it lives. For HEALTHCHECK."""

import sys
from collections.abc import Sequence
from urllib.request import urlopen

_ADDRESSES = ("http://127.0.0.1:8000/healthz", "http://127.0.0.1:8080/ping")


def is_healthy(addresses: Sequence[str]) -> bool:
    """Whether one of them answers with 200."""
    return any(map(_answers, addresses))


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=4) as answer:
            return answer.status == 200
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(not is_healthy(sys.argv[1:] or _ADDRESSES))
