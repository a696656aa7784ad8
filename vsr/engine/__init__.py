"""Everything that touches a device: rings, batches, streams, precision, tiles."""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.engine.device import (
        CPU_THREADS,
        Placement,
        all_devices,
        cpu_threads,
        gpu_number,
        has_amx,
        has_fast_bf16,
        move_network,
        num_cores,
        pick_device,
        processor_name,
    )
    from vsr.engine.engine import Engine
    from vsr.engine.executor import WAYS, rounding_on
    from vsr.engine.many_streams import ManyStreams
    from vsr.engine.memory import check_tiles
    from vsr.engine.packing import enlarged_planes, from_packed, pack_picture, to_packed
    from vsr.engine.precision import WORTH_IT, place
    from vsr.engine.process import tune_process
    from vsr.engine.residual import merge, surroundings
    from vsr.engine.stage import Stage
    from vsr.engine.transfer import Pending, transfer_for
    from vsr.engine.unchanged import shows_the_same
    from vsr.engine.windowed_stream import Input, WindowedStream

__getattr__ = lazy_exports(__name__)
