"""`vsr web`: a page and an API for this machine's queue."""

from typing import Annotated

from vsr.cli.console import say
from vsr.cli.flags import Flat
from vsr.cli.signals import terminable
from vsr.errors import ConfigError
from vsr.web import WebOptions


def web_command(*, options: Annotated[WebOptions, Flat] = WebOptions(), debug: bool = False) -> int:
    """Serve a page and an API: upload, preview, enhance, take home. Until SIGTERM or Ctrl-C.

    Jobs that are under way then go on at the next start.

    Parameters
    ----------
    debug
        Show a traceback with an error.
    """
    say("vsr web is being loaded …")
    try:
        from vsr.web import serve_web
    except ModuleNotFoundError as error:
        raise ConfigError(f"vsr web needs {error.name}; `pip install 'vsr[web]'` installs it") from None
    with terminable() as terminated:
        try:
            serve_web(options, say, debug=debug)
        except KeyboardInterrupt:
            if not terminated:
                raise KeyboardInterrupt("the same command goes on") from None
    return 0
