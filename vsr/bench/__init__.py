"""What `vsr bench` does: how fast this machine is, stage by stage, and why not faster."""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.bench.bench_options import BenchOptions
    from vsr.bench.cost import Cost
    from vsr.bench.film import FilmCost, FilmOptions, film_cost
    from vsr.bench.peers.peer_tables import PeerRow, PeerTable, peer_tables
    from vsr.bench.row import Row
    from vsr.bench.run_bench import bench_rows

__getattr__ = lazy_exports(__name__)
