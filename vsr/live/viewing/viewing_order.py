"""What the viewers' process is told before anything else."""

import socket
from dataclasses import dataclass

from vsr.http_safety import LOOPBACK


@dataclass(frozen=True)
class ViewingOrder:
    """Where to listen, and who may ask."""

    host: str
    port: int
    allow_host: tuple[str, ...]
    token_hash: str
    """Empty where everybody may ask."""

    def listen(self) -> socket.socket:
        """Open the port.

        Raises:
            OSError: it is taken, or the address is not this machine's.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self.host, self.port))
            listening.listen(256)
        except OSError:
            listening.close()
            raise
        return listening

    def addresses(self, reached: str) -> list[str]:
        """Where a browser may send to that has reached us at this address: there, and elsewhere only where others are
        listened to."""
        if self.host in LOOPBACK:
            return [reached]
        from aioice.ice import get_host_addresses

        return list(dict.fromkeys([reached, *get_host_addresses(use_ipv4=True, use_ipv6=True)]))
