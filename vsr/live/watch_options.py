"""How `vsr live` shows its cameras in a browser: the table `[watch]` of `configs/cameras.toml`."""

from dataclasses import dataclass

from vsr.errors import ConfigError
from vsr.http_safety import LOOPBACK


@dataclass(frozen=True)
class BrowserOptions:
    """Where the page is, and who may see it."""

    port: int = 0
    """Port of the page; 0 for no page."""
    host: str = "127.0.0.1"
    """Address to listen on; any but this machine's own, such as 0.0.0.0, wants a token of everybody who asks."""
    token_file: str = ""
    """File with the hash of the token that is asked for; where there is none it is made, and the token shown once."""
    allow_host: tuple[str, ...] = ()
    """Further names by which browsers may call this server, as behind a proxy."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 1 << 16:
            raise ConfigError(f"port {self.port} is no port; 0 to 65535 is accepted")
        if self.host not in LOOPBACK and not self.token_file:
            raise ConfigError(
                f"host {self.host!r} is reached from other machines; name a token_file, which is made where there is"
                " none, or listen on 127.0.0.1"
            )
