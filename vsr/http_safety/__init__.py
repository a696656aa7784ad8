"""What every server of ours asks of who asks: a request that comes, a host that is ours, a page that is ours, a
token."""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.http_safety.connections import PromptProtocol
    from vsr.http_safety.same_site import ALWAYS, LOOPBACK, OwnHosts, is_same_site
    from vsr.http_safety.token_file import hash_of_token, is_the_token, token_hash

__getattr__ = lazy_exports(__name__)
