"""Options of what is told by MQTT: which broker, and under which topics."""

import re
from dataclasses import dataclass

from vsr.errors import ConfigError
from vsr.live.address import Address, Credentials, resolve
from vsr.live.target_options import above


@dataclass(frozen=True)
class MqttOptions:
    """A broker that is told how the cameras do."""

    host: str = ""
    """Name or address; empty for none."""
    port: int = 0
    """0 for the usual one: 1883, or 8883 with TLS."""
    tls: bool = False
    """Encrypt, and check the broker's certificate."""
    ca_file: str = ""
    """Authorities that the certificate is checked against, as PEM; empty for those of the system."""
    credentials_env: str = ""
    """Environment variable that holds USER:PASSWORD."""
    credentials_file: str = ""
    """File whose first line is USER:PASSWORD."""
    prefix: str = "vsr"
    """First level of all topics; another one for each `vsr live` of a broker."""
    discovery: str = "homeassistant"
    """Home Assistant's discovery prefix; empty tells it nothing."""
    every_s: float = 10.0
    """Seconds between two reports of a camera whose state does not change."""

    def __post_init__(self) -> None:
        above(0, every_s=self.every_s)
        if not 0 <= self.port < 1 << 16:
            raise ConfigError(f"port {self.port} is no port; 0 to 65535 is accepted")
        for name, topic in (("prefix", self.prefix), ("discovery", self.discovery or "none")):
            if not re.fullmatch(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*", topic):
                raise ConfigError(
                    f"{name} {topic!r} cannot be used; letters, digits, -, _ and / are accepted"
                )
        if self.host and not re.fullmatch(r"[A-Za-z0-9.:_-]+", self.host):
            raise ConfigError(
                "host cannot be read; a name or an address without user, port and path is accepted"
            )
        if self.ca_file and not self.tls:
            raise ConfigError("ca_file needs tls = true")

    @property
    def usual_port(self) -> int:
        """The port, the usual one where none is configured."""
        return self.port or (8883 if self.tls else 1883)

    @property
    def address(self) -> Address:
        """The broker with user and password, read now.

        Raises:
            ConfigError: credentials cannot be read.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        credentials = Credentials(self.credentials_env, self.credentials_file)
        return resolve(f"mqtt{'s' * self.tls}://{host}:{self.usual_port}", credentials)

    @property
    def login(self) -> tuple[str, str] | None:
        """User and password, read now; None where there are none.

        Raises:
            ConfigError: credentials cannot be read.
        """
        return Credentials(self.credentials_env, self.credentials_file).read()
