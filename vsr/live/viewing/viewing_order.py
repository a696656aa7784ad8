"""What the viewers' process is told before anything else."""

from dataclasses import dataclass

from vsr.http_safety import LOOPBACK


@dataclass(frozen=True)
class ViewingOrder:
    """Where to listen, and who may ask."""

    host: str
    listening: int
    """Descriptor of the socket that browsers connect to, which the process inherits."""
    allow_host: tuple[str, ...]
    token_hash: str
    """Empty where everybody may ask."""

    def addresses(self, reached: str) -> list[str]:
        """Where a browser may send to that has reached us at this address: there, and elsewhere only where others are
        listened to."""
        if self.host in LOOPBACK:
            return [reached]
        from aioice.ice import get_host_addresses

        return list(dict.fromkeys([reached, *get_host_addresses(use_ipv4=True, use_ipv6=True)]))
