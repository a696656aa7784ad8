"""What encoders and sinks are given."""

from fractions import Fraction

import numpy as np

from vsr.frames import Frame, MasteringMetadata
from vsr.media.probe_video import probe
from vsr.media.reading.source import VideoSource
from vsr.media.writing.sink import FileSink
from vsr.options import EncodeOptions, ReadOptions

TICK = Fraction(1, 90000)


def noise(format, pts, *, time_base=TICK, seed=0):
    """Make frames of noise: whatever is moved, rounded or swapped shows."""
    rng = np.random.default_rng(seed)
    dtype = np.uint8 if format.bit_depth == 8 else np.uint16
    sizes = [format.plane_size(i) for i in range(format.num_planes)]
    for time_ in pts:
        planes = tuple(rng.integers(0, 1 << format.bit_depth, size).astype(dtype) for size in sizes)
        yield Frame(planes, format, time_, time_base)


HDR = MasteringMetadata(
    primaries=(
        (Fraction(17, 25), Fraction(8, 25)), (Fraction(53, 200), Fraction(69, 100)), (Fraction(3, 20), Fraction(3, 50)),
    ),
    white_point=(Fraction(3127, 10000), Fraction(329, 1000)),
    min_luminance=Fraction(1, 10000), max_luminance=Fraction(1000), max_content_light=1000, max_frame_average_light=400,
)  # fmt: skip


FAST = EncodeOptions(encoder="x264", preset="ultrafast", quality=90)


def write(source, target, *, read=None, options=FAST, trim=False):
    """Carry a clip through the sink unchanged; return the report."""
    info = probe(source)
    sink = FileSink(target, source=info, format=info.format, options=options, trim=trim)
    with sink:
        for frame in VideoSource(source, read or ReadOptions(), info=info, threads=1).frames():
            sink.write(frame)
    assert sink.report is not None
    return sink.report
