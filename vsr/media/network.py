"""Sources on other machines: addresses by HTTP, which are read only where that is allowed."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vsr.errors import ConfigError

REMOTE_PROTOCOLS = "http,https,tls,tcp,crypto,data"
"""What an address opened by FFmpeg may reach, wherever it leads: no files of this machine."""

TIMEOUT_S = (20.0, 60.0)
"""To connect, and for each read; a server that says nothing for longer has gone."""

_ADDRESS = re.compile(r"(https?):/+", re.IGNORECASE)


def is_address(path: str | Path) -> bool:
    """Whether a path means something to be fetched by HTTP."""
    return _ADDRESS.match(str(path)) is not None


def address_of(path: str | Path) -> str:
    """The address, of which a `Path` has swallowed a slash."""
    return _ADDRESS.sub(lambda match: f"{match[1].lower()}://", str(path), count=1)


def check_allowed(path: str | Path, *, allowed: bool) -> None:
    """Raise ConfigError for an address where none may be read."""
    if is_address(path) and not allowed:
        raise ConfigError(
            f"{address_of(path)} is on the network; --allow-network lets it be read, or give a file"
        )


def file_name(path: str | Path) -> str:
    """What a file is called here, and one from an address."""
    if not is_address(path):
        return Path(path).name
    return Path(unquote(urlsplit(address_of(path)).path)).name or "video"
