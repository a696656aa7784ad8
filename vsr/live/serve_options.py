"""Options of what is served, the keys of `[serve]` in `configs/cameras.toml`."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from vsr.errors import ConfigError
from vsr.live.address import exposed


@dataclass(frozen=True)
class ServingOptions:
    """Where players may pull what the cameras show."""

    port: int = 0
    """Port of the RTSP server, rtsp://HOST:PORT/NAME and /NAME/original; 0 for none."""
    host: str = "127.0.0.1"
    """Address of this machine to listen at; one that others reach wants a users_file."""
    users_file: str = field(default="", repr=False)
    """File with a USER:PASSWORD a line, of those who may watch; read at each login. Empty: anybody."""
    always: bool = False
    """Enhance, encode and pass on even while nobody watches: pictures are there at once."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 1 << 16:
            raise ConfigError(f"port {self.port} is no port; 0 to 65535 is accepted")
        try:
            loopback = ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            raise ConfigError(
                f"host {self.host!r} is no address; 127.0.0.1, 0.0.0.0, :: or one of this machine is"
            ) from None
        if not loopback and not self.users_file:
            raise ConfigError(
                f"host {self.host} is open to others, so it wants a users_file; 127.0.0.1 does not"
            )

    def told(self, address: str, users_file: str, *, always: bool) -> "ServingOptions":
        """Return what holds when a command says these; what is empty it does not say.

        Args:
            address: PORT or HOST:PORT.
            users_file, always: as the fields.

        Raises:
            ConfigError: they cannot be used.
        """
        host, _, port = address.rpartition(":")
        if address and not port.isdecimal():
            raise ConfigError(f"{address!r} is no place to serve at; PORT or HOST:PORT is accepted")
        return ServingOptions(
            int(port or self.port),
            host.strip("[]") or self.host,
            users_file or self.users_file,
            always or self.always,
        )

    def url(self, name: str) -> str:
        """Return where a broadcast is pulled."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"rtsp://{host}:{self.port}/{name}"

    @property
    def users(self) -> dict[str, str]:
        """Passwords by user, read now; empty where anybody may watch.

        Raises:
            ConfigError: the file cannot be used.
        """
        if not self.users_file:
            return {}
        path = Path(self.users_file)
        if exposed(path):
            raise ConfigError(f"{path} can be read by others; chmod 600 {path} is needed")
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", "") or "it is no text"
            raise ConfigError(f"{path} cannot be read: {reason}") from None
        pairs = [line.partition(":") for line in lines if line.strip() and not line.startswith("#")]
        if not pairs or not all(user and password for user, _, password in pairs):
            raise ConfigError(f"{path}: a USER:PASSWORD a line is accepted, at least one")
        return {user: password for user, _, password in pairs}
