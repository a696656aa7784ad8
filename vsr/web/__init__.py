"""The queue of a machine over HTTP: uploads, jobs, previews; thin above `vsr.archive` and `vsr.jobs`."""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.web.client import Client, WebError
    from vsr.web.invocations import serve_invocations
    from vsr.web.server import serve_web
    from vsr.web.web_options import ServeOptions, WebOptions

__getattr__ = lazy_exports(__name__)
