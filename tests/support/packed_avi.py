"""DivX's packed bitstream, made of an ordinary clip: two pictures in one packet of AVI, none in the next."""

import re
from pathlib import Path

import av
from support.clips import run_ffmpeg

_PICTURE = b"\0\0\1\xb6"
_EMPTY = _PICTURE + b"\x40\x7f"


def pack(clip: Path, path: Path, *, b_frames: int = 2, ends_early: bool = False) -> Path:
    """Encode a clip with B-pictures and write it packed; `ends_early` leaves out an empty packet at the end."""
    plain = path.with_suffix(".mkv")
    coding = ["-c:v", "mpeg4", "-q:v", "2", "-bf", str(b_frames), "-g", "12", "-an"]
    run_ffmpeg("-i", clip, *coding, plain)
    with av.open(str(plain)) as old, av.open(str(path), "w") as new:
        stream = old.streams.video[0]
        out = new.add_stream_from_template(stream, opaque=True)
        out.time_base = 1 / stream.average_rate
        pictures = [(bytes(p), p.is_keyframe) for p in old.demux(stream) if p.size]
        for number, (data, is_key) in enumerate(
            _packed([data for data, _ in pictures], pictures, ends_early)
        ):
            packet = av.Packet(data)
            packet.stream, packet.time_base = out, 1 / stream.average_rate
            packet.pts = packet.dts = number
            packet.is_keyframe = is_key
            new.mux(packet)
    encoder = re.compile(rb"Lavc[\d.]+\d")
    path.write_bytes(
        encoder.sub(lambda found: b"DivX503b" + b"1" * (len(found[0]) - 9) + b"p", path.read_bytes())
    )
    return path


def _packed(datas, pictures, ends_early):
    """The packets: what is predicted from comes with the first B-picture after it."""
    kinds = [data[data.index(_PICTURE) + 4] >> 6 for data, _ in pictures]
    packets, held = [], []
    for at, (data, is_key) in enumerate(pictures):
        follows = at + 1 < len(pictures) and kinds[at + 1] == 2
        if kinds[at] == 2:
            held.append(data)
            if len(held) > 1:  # its place is that of the one that came early
                packets.append((held[1], False))
                held = held[:1]
            if not follows:
                packets.append((_EMPTY, False))
                held = []
        else:
            packets.append((data + (datas[at + 1] if follows else b""), is_key))
    while ends_early and packets[-1][0] == _EMPTY:
        packets.pop()
    return packets
