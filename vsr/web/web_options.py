"""What `vsr web` and `vsr serve` can be told."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from vsr.errors import ConfigError
from vsr.http_safety import LOOPBACK
from vsr.options import at_least

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True)
class WebOptions:
    """How the server listens, what it keeps and where its limits are."""

    host: str = "127.0.0.1"
    """Address to listen on; any but this machine's own, such as 0.0.0.0, wants a token of everybody who asks."""
    port: int = 8000
    """Port to listen on; 0 for any that is free."""
    data: str = ""
    """Folder of uploads, jobs and results. Default: vsr/web in the user's folder for data."""
    token_file: str = ""
    """File with the hash of the token that is asked for; where there is none it is made, and the token shown once.
    Default: `token` in the data folder, where one is needed."""
    allow_host: tuple[str, ...] = ()
    """Further names by which browsers may call this server, as behind a proxy; give it several times."""
    keep: str = "7d"
    """How long uploads and finished jobs are kept: 30m, 12h, 7d or 4w after the last change."""
    max_gb: float = 100.0
    """Largest upload, in GB."""
    max_files: int = 1000
    """Most uploads, and most jobs, that are kept at once."""
    max_hours: float = 0.0
    """Longest time that a job may run, in hours; 0 for any."""
    private_webhooks: bool = False
    """Let webhooks go to this machine and its network, too; without it, to public addresses alone."""
    sign: str = ""
    """What signs the records of jobs: a private key's file, as `vsr evidence key` makes one, or exec:PROGRAM, which is
    called with the word public or sign."""
    cameras: str = ""
    """File of cameras, as `vsr live` reads it: runs them while the server runs, and shows them on the page."""
    cameras_beside: bool = False
    """A `vsr live` runs these cameras already, with a `metrics_port` in their file: only show them."""
    open: bool = False
    """Open the page in the browser."""

    def __post_init__(self) -> None:
        at_least(0, port=self.port)
        at_least(1, max_files=self.max_files)
        if self.port > 65535:
            raise ConfigError(f"port {self.port} is out of range; 0 to 65535 is accepted")
        if not 0 < self.max_gb < 1e6 or self.max_hours < 0:
            raise ConfigError("max-gb must be more than 0, and max-hours 0 or more")
        if self.cameras_beside and not self.cameras:
            raise ConfigError("cameras-beside needs the file of these cameras; name it with --cameras")
        _ = self.keep_s

    @property
    def keep_s(self) -> int:
        """Seconds for which things are kept."""
        match = re.fullmatch(r"([1-9]\d{0,3})([mhdw])", self.keep)
        if match is None:
            raise ConfigError(f"keep {self.keep!r} is not understood; such as 30m, 12h, 7d or 4w is accepted")
        return int(match[1]) * _UNITS[match[2]]

    @property
    def max_bytes(self) -> int:
        """Bytes of the largest upload."""
        return round(self.max_gb * 1e9)

    @property
    def is_local(self) -> bool:
        """Only this machine is listened to."""
        return self.host in LOOPBACK

    @property
    def folder(self) -> Path:
        """The data folder."""
        if self.data:
            return Path(self.data)
        found = os.environ.get("XDG_DATA_HOME") or os.environ.get("LOCALAPPDATA")
        return (Path(found) if found else Path.home() / ".local" / "share") / "vsr" / "web"


@dataclass(frozen=True)
class ServeOptions:
    """How the container listens, and where its model lies."""

    host: str = "0.0.0.0"
    """Address to listen on. Nobody is asked for a token: the cloud stands before it."""
    port: int = 8080
    """Port to listen on."""
    model_folder: str = "/opt/ml/model"
    """Folder where the cloud puts a model: the one file in it is what enlarges, unless --model names another."""
    max_mb: float = 25.0
    """Largest picture in a request or its answer, in MB. SageMaker's real-time endpoints pass on 25, older ones 6."""
    max_gb: float = 20.0
    """Largest file that an address in a request may bring, in GB."""
    max_minutes: float = 59.0
    """Longest time for a request that names addresses; asynchronous endpoints wait an hour."""
    allow_private: bool = False
    """Let addresses in requests lead into this machine and its network, as to a store of your own."""
    sign: str = ""
    """What signs the records of requests: a private key's file, as `vsr evidence key` makes one, or exec:PROGRAM, which
    is called with the word public or sign."""

    def __post_init__(self) -> None:
        at_least(0, port=self.port)
        if self.port > 65535:
            raise ConfigError(f"port {self.port} is out of range; 0 to 65535 is accepted")
        if not (0 < self.max_mb < 1e6 and 0 < self.max_gb < 1e6 and 0 < self.max_minutes < 1e6):
            raise ConfigError("max-mb, max-gb and max-minutes must be more than 0")
