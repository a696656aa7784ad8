"""`vsr live discover`: cameras in the network, where their streams are, and their lines for a file of cameras."""

import json
import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from rich.table import Table

from vsr.cli.console import cell, console, say
from vsr.errors import ConfigError, SourceError
from vsr.live import Credentials, FoundCamera, OnvifDevice, StreamProfile, find_cameras, resolve


def discover_command(
    *hosts: str,
    interface: str = "",
    wait: float = 3.0,
    credentials_env: str = "",
    credentials_file: str = "",
) -> int:
    """Find cameras by ONVIF, show their streams, and print lines for a file of cameras.

    Nothing is sent to a network but the one of `--interface`, or to the hosts that are named.

    Parameters
    ----------
    hosts
        Cameras that are asked themselves: HOST, HOST:PORT or the URL of a device service.
    interface
        IPv4 address that this machine has in the cameras' network; all cameras there are asked.
    wait
        Seconds for which answers are waited for.
    credentials_env
        Environment variable that holds USER:PASSWORD of the cameras.
    credentials_file
        File whose first line is USER:PASSWORD of the cameras.
    """
    if not hosts and not interface:
        raise ConfigError("nobody is asked yet; give --interface ADDRESS for a whole network, or hosts")
    login = Credentials(credentials_env, credentials_file).read()
    found = [FoundCamera(_service(host)) for host in hosts]
    found += find_cameras(interface, wait_s=wait) if interface else []
    if not found:
        say("no camera has answered")
        return 1
    secret = {"credentials_env": credentials_env, "credentials_file": credentials_file}
    drawn, lines = _table(), list[str]()
    for name, camera in _named(found):
        streams = _asked(camera, login)
        for stream in streams:
            drawn.add_row(*(cell(text) for text in _row(name, camera, stream)))
        if streams:
            lines += ["", *_lines(name, streams[0].url, secret)]
    if drawn.row_count:
        console.print(drawn)
    print("\n".join(lines[1:]))
    return 0 if lines else 1


def _service(host: str) -> str:
    return host if "://" in host else f"http://{host}/onvif/device_service"


def _asked(camera: FoundCamera, login: tuple[str, str] | None) -> Sequence[StreamProfile]:
    """A camera's streams; says why there are none."""
    try:
        streams = OnvifDevice(camera.service, login).streams()
    except SourceError as error:
        say(str(error))
        return ()
    if not streams:
        say(f"{camera.service}: it names no stream by RTSP")
    return streams


def _named(found: Iterable[FoundCamera]) -> list[tuple[str, FoundCamera]]:
    """Each camera with a name that a file of cameras takes, and that no other has."""
    named: dict[str, FoundCamera] = {}
    for camera in found:
        plain = camera.name or f"camera-{urlsplit(camera.service).hostname}"
        plain = re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-_")[:60] or "camera"
        name, count = plain, 1
        while name in named:
            name, count = f"{plain}-{count + 1}", count + 1
        named[name] = camera
    return list(named.items())


def _table() -> Table:
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("camera", "device", "profile", "picture", "stream"):
        drawn.add_column(head)
    return drawn


def _row(name: str, camera: FoundCamera, stream: StreamProfile) -> list[str]:
    picture = f"{stream.width}x{stream.height} {stream.codec} {stream.rate:g} fps"
    device = urlsplit(camera.service).netloc.rpartition("@")[2]
    return [name, device, stream.name, picture, resolve(stream.url).shown]


def _lines(name: str, url: str, secret: dict[str, str]) -> list[str]:
    """The table of a camera in TOML, whose basic strings are those of JSON."""
    values = {"name": name, "url": url} | {key: value for key, value in secret.items() if value}
    return ["[[cameras]]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
