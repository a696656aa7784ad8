"""Access units as the hub of a live service hands them out, of clips with numbered frames."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from support.clips import ClipOptions, read_number, write_clip

from vsr.live.packets import TICKS, describe_stream, packet_message
from vsr.live.serving.access_units import AccessUnit, UnitReader

AS_LIVE = {
    "bf": "0",
    "preset": "ultrafast",
    "tune": "zerolatency",
    "x264-params": "repeat-headers=1:scenecut=0",
}
WALL_S = 1_700_000_000.0


def units_of(path: Path, *, begins: int = 0) -> Iterator[AccessUnit]:
    """All units of a file, the first at `begins` in ticks of 1/90000 s."""
    reader = UnitReader()
    with av.open(str(path)) as container:
        for stream in container.streams:
            reader.describe(describe_stream(stream))  # type: ignore[arg-type]
        for packet in container.demux():
            message = packet_message(packet)
            unit = reader.read(message, shift=begins, wall_s=WALL_S) if message else None
            if unit is not None:
                yield unit


def numbered_units(folder: Path, *, begins: int = 0, kind: str = "mkv", **options: Any) -> list[AccessUnit]:
    """Units of pictures that show their numbers; the keywords are `ClipOptions`."""
    given = {"num_frames": 75, "size": (96, 128), "gop": 25, "codec_options": AS_LIVE, **options}
    path = folder / f"{abs(hash(str(sorted(given.items()))))}.{kind}"
    if not path.exists():
        write_clip(path, ClipOptions(**given))
    return list(units_of(path, begins=begins))


def shown(data: bytes) -> list[tuple[int, int, int]]:
    """Height, number and time, in ticks of 1/90000 s, of each picture in an MP4."""
    import io

    with av.open(io.BytesIO(data), options={"ignore_editlist": "1"}) as container:
        return [
            (f.height, read_number(f.to_ndarray()[: f.height]), round(f.pts * f.time_base * TICKS))
            for f in container.decode(video=0)
        ]
