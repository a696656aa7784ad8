"""`vsr serve`: what a cloud starts in a container."""

from typing import Annotated

from cyclopts import Parameter

from vsr.cli.console import say
from vsr.cli.flags import EnhanceFlags, Flat
from vsr.cli.signals import terminable
from vsr.errors import ConfigError
from vsr.web import ServeOptions


def serve_command(
    *,
    serve: Annotated[ServeOptions, Flat] = ServeOptions(),
    flags: Annotated[EnhanceFlags, Flat] = EnhanceFlags(),
    config: Annotated[str, Parameter(show_default=False)] = "",
    debug: bool = False,
) -> int:
    """Answer as a cloud's container: GET /ping, and POST /invocations with a picture, until SIGTERM.

    Parameters
    ----------
    config
        TOML file of options; flags win over it.
    debug
        Show a traceback with an error.
    """
    try:
        from vsr.web import serve_invocations
    except ModuleNotFoundError as error:
        raise ConfigError(f"vsr serve needs {error.name}; `pip install 'vsr[web]'` installs it") from None
    with terminable() as terminated:
        try:
            serve_invocations(flags.options, serve, say)
        except KeyboardInterrupt:
            if not terminated:
                raise
    return 0
