"""The page of `vsr live --watch`: opened, opened anew by another configuration, and closed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vsr.cli.console import say
from vsr.errors import ConfigError
from vsr.live import BrowserOptions, LiveService, LogEvent, ViewingProcess, health


class CamerasPage:
    """The page, where one is wanted. A context.

    Raises:
        ConfigError: it cannot be opened.
    """

    def __init__(self, service: LiveService, options: BrowserOptions):
        self._service, self._options = service, BrowserOptions()
        self._process: ViewingProcess | None = None
        self._begin(options)

    def open(self, options: BrowserOptions) -> None:
        """Go over to other options; where that fails there is no page, and a line says why."""
        if options == self._options:
            return
        self.close()
        try:
            self._begin(options)
        except ConfigError as error:
            LogEvent("refused", f"there is no page of the cameras: {error}", bad=True).tell()

    def _begin(self, options: BrowserOptions) -> None:
        self._options = options
        if options.port:
            self._process = ViewingProcess(options, self._service.hub, self._health, say)
            where = f"[{options.host}]" if ":" in options.host else options.host
            LogEvent("page", f"the cameras are at http://{where}:{options.port}/").tell()

    def _health(self) -> Mapping[str, Any]:
        return health(self._service.view())

    def close(self) -> None:
        """End it. Harmless twice."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def __enter__(self) -> "CamerasPage":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def watched(options: BrowserOptions, port: int | None, host: str, token_file: str) -> BrowserOptions:
    """Lay what a command says over what a file says."""
    return replace(
        options,
        port=options.port if port is None else port,
        host=host or options.host,
        token_file=token_file or options.token_file,
    )
