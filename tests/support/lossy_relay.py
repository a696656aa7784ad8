"""A relay for datagrams on this machine that loses some of them, where the system's own traffic control is missing."""

import random
import re
import select
import socket
import threading


class LossyRelay:
    """Passes datagrams on between whoever sends here and one address, in a thread, until it is closed.

    Args:
        loss: part of the datagrams that is lost, each way.
        seed: of the chance.
    """

    def __init__(self, loss: float, *, seed: int = 1):
        self.passed = self.lost = 0
        self._loss, self._random = loss, random.Random(seed)
        self._front, self._back = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for one in (self._front, self._back):
            one.bind(("127.0.0.1", 0))
        self.port = self._front.getsockname()[1]
        self._target, self._client = None, None
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def into(self, answer: str) -> str:
        """Put this relay into an answer in SDP: in the place of the one candidate that it names."""
        found = re.search(r"a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+) typ host", answer)
        assert found is not None, answer
        self._target = ("127.0.0.1", int(found[1]))
        return answer.replace(f"127.0.0.1 {found[1]} typ host", f"127.0.0.1 {self.port} typ host")

    def _run(self) -> None:
        while not self._over:
            for one in select.select([self._front, self._back], [], [], 0.1)[0]:
                data, sender = one.recvfrom(65536)
                if one is self._front:
                    self._client = sender
                to = self._target if one is self._front else self._client
                if self._random.random() < self._loss:
                    self.lost += 1
                elif to is not None:
                    self.passed += 1
                    (self._back if one is self._front else self._front).sendto(data, to)

    def close(self) -> None:
        self._over = True
        self._thread.join()
        self._front.close()
        self._back.close()
