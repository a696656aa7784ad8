"""What players pull: the views of all cameras as access units, handed to any number of viewers.

A camera has two broadcasts in the `Hub` of a `LiveService` (`service.hub`): `NAME`, its enhanced pictures, encoded
once however many watch, and `NAME/original`, what the camera sent, passed on as it came. Nothing is encoded and
nothing kept while nobody watches; the encoder begins with the first subscription and ends some seconds after the last.

    with service.hub.subscribe("door") as viewer:      # LookupError for a name that is not there
        for unit in viewer:                            # blocks; ends when the camera is taken out of the configuration
            unit.kind, unit.codec, unit.keyframe       # "video", "h264", True
            unit.data                                  # Annex B, parameter sets before each keyframe; sound as it is
            unit.pts_90k, unit.dts_90k, unit.wall_s    # one clock for picture and sound, and the wall's time of it
            unit.parameters                            # another object from the keyframe on that has another size

The first video unit of a subscription is a keyframe; sound may come before it. A viewer that reads too slowly loses
all that waits for it, up to the next keyframe, and costs neither memory nor anybody else a frame. From an event loop:
`subscribe(name, wake=lambda: loop.call_soon_threadsafe(ready.set))` and `viewer.take()`, which never waits.
`viewer.parameters` is what is known of picture and sound by now, `viewer.known(timeout_s)` waits for it.

Times: the enhanced view has no B-frames, so that `dts_90k == pts_90k`; an original may have them. A camera that comes
back, in another size too, goes on in the same subscription on the same clock.
"""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.live.serving.access_units import AccessUnit, AudioParameters, VideoParameters
    from vsr.live.serving.broadcast import StreamParameters, Subscription
    from vsr.live.serving.hub import Hub, Publisher

__getattr__ = lazy_exports(__name__)
