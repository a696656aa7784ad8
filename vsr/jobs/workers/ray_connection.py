"""The way to a Ray cluster: whether it may be taken, joined for a while and left as it was."""

import contextlib
import importlib
import importlib.util
import os
import signal
import socket
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

from vsr.errors import ConfigError, one_line

_KNOCK_S = 5.0


def check_cluster(address: str) -> None:
    """Raise ConfigError where Ray is missing, or the address is of a kind that is not taken."""
    if not importlib.util.find_spec("ray"):
        raise ConfigError(
            "cluster needs Ray (pip install 'vsr[cluster]'); --workers shares a job on one machine"
        )
    if address.startswith("ray://"):
        raise ConfigError(
            f"cluster {address}: name the cluster itself, as HOST:6379, not its server for clients"
        )


@contextmanager
def connected(address: str) -> Generator[Any, None, None]:
    """Ray, joined for as long as the block lasts; a connection that somebody
    else has made is used and left alone."""
    ray: Any = importlib.import_module("ray")
    if ray.is_initialized():
        yield ray
        return
    with ExitStack() as stack:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if address == "local":
            # In a folder that goes with it; Ray would keep its logs for ever, and tell its makers of its use.
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="vsr-ray-", ignore_cleanup_errors=True)
            )
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            options |= {"address": "local", "include_dashboard": False, "_temp_dir": folder}
        else:
            _knock(address)
            options |= {"address": address}
        stack.callback(ray.shutdown, wait_for_processes=True)
        try:
            with _own_signals():
                ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            raise _unreachable(address, error) from error
        yield ray


def _knock(address: str) -> None:
    """Raise ConfigError where nobody is at an address: Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> ConfigError:
    reason = one_line(error, most=300)
    return ConfigError(
        f"cluster {address} cannot be reached: {reason}; HOST:PORT, auto and local are accepted"
    )


@contextmanager
def _own_signals() -> Generator[None, None, None]:
    """Ray puts a handler of its own in the place of ours for SIGTERM, which
    would end us without cleaning up."""
    ours = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # not the main thread, where Ray sets none either
            signal.signal(signal.SIGTERM, ours)
