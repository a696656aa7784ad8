"""`vsr live`: cameras in, enhanced streams out, until it is told to end."""

from contextlib import ExitStack
from functools import partial
from typing import Annotated

from cyclopts import App

from vsr.cli.console import say
from vsr.cli.fetch_models import FetchFlags, fetch_named
from vsr.cli.flags import Flat
from vsr.cli.live_flags import CameraFlags, LiveFlags, is_file, live_options
from vsr.cli.live_service import ShownService
from vsr.cli.signals import LiveSignals
from vsr.live import exposed_files
from vsr.options import EngineOptions


def live_command(
    cameras: str,
    /,
    *,
    camera: Annotated[CameraFlags, Flat] = CameraFlags(),
    run: Annotated[LiveFlags, Flat] = LiveFlags(),
    engine: Annotated[EngineOptions, Flat] = EngineOptions(),
    fetch: Annotated[FetchFlags, Flat] = FetchFlags(),
) -> int:
    """Enhance cameras while they run.

    Ends with SIGTERM or Ctrl-C, files finished. SIGHUP reads a file of
    cameras again and changes what changed.

    Parameters
    ----------
    cameras
        URL of a camera (rtsp://..., or another stream, a device, a video file), or a TOML file of cameras.
    """
    read = partial(live_options, cameras, camera, run, engine)
    at_first = read()
    for file in exposed_files(at_first, cameras if is_file(cameras) else ""):
        say(f"warning: {file} holds credentials and others may read it; chmod 600 {file} keeps them out")
    fetch_named(at_first.models, fetch)
    with LiveSignals(reloads=is_file(cameras)) as signals, ExitStack() as open_things:
        service = ShownService(at_first, signals, open_things)
        service.run(run.duration, read)
    return signals.code


live = App(name="live")
live.default(live_command)
live.command("vsr.cli.discover:discover_command", name="discover")
