from collections import deque
from dataclasses import replace
from fractions import Fraction

import av
import imageio_ffmpeg
import numpy as np
import pytest
from support.clips import RANGES, draw_number, read_number

from vsr.errors import SinkError
from vsr.frames import Frame, PictureFormat
from vsr.live.outputs import encoder
from vsr.live.outputs.encoder import _SPECIFIC, LiveEncode, LiveEncoder, choose_live_encoder
from vsr.live.push.muxer import Muxer
from vsr.media.ffmpeg import list_encoder_options

FORMATS = [
    PictureFormat(96, 128, matrix="bt709", primaries="bt709", transfer="bt709"),
    PictureFormat(96, 128, range="full", matrix="smpte170m"),
    PictureFormat(96, 128, bit_depth=10, layout="yuv422", matrix="bt2020nc"),
    PictureFormat(96, 128, layout="rgb", range="full", matrix="gbr"),
    PictureFormat(96, 128, layout="gray"),
    PictureFormat(95, 127, matrix="bt709"),
]


def frame(number: int, format: PictureFormat, pts: int) -> Frame:
    """A frame whose black and white are those of its range."""
    depth, full = format.bit_depth, format.range == "full"
    dtype = np.uint8 if depth == 8 else np.uint16
    planes = [np.full(format.plane_size(i), 1 << (depth - 1), dtype) for i in range(format.num_planes)]
    black, white = (0, (1 << depth) - 1) if full else (16 << (depth - 8), 235 << (depth - 8))
    for plane in planes if format.layout == "rgb" else planes[:1]:
        draw_number(plane, number, black=black, white=white)
    return Frame(tuple(planes), format, pts, Fraction(1, 90_000))


@pytest.mark.parametrize(
    "format", FORMATS, ids=lambda f: f"{f.layout}{f.bit_depth}-{f.range}-{f.width}x{f.height}"
)
def test_every_format_becomes_what_players_take_with_its_own_black_and_white(format, tmp_path):
    got = []
    encoder = LiveEncoder(format, LiveEncode(encoder="x264"), got.append)
    times = [10**9 + n * 3600 + n * n for n in range(6)]
    for number, pts in enumerate(times):
        encoder.write(frame(number, format, pts))
    encoder.close()
    description, *packets = got
    assert description.describes
    assert [packet.pts for packet in packets] == [packet.dts for packet in packets] == times
    assert packets[0].keyframe
    with Muxer(str(tmp_path / "a.mkv"), format="matroska", streams=[description]) as muxer:
        for packet in packets:
            muxer.mux(packet)
    with av.open(str(tmp_path / "a.mkv")) as container:
        pictures = list(container.decode(video=0))
    assert [read_number(p.to_ndarray()[: format.height, : format.width]) for p in pictures] == list(range(6))
    first = pictures[0]
    full = format.range == "full" and format.layout != "rgb"
    assert (first.height, first.width) == (96, 128)
    assert first.format.name.startswith(("yuv420p", "yuvj420p"))
    assert first.color_range == RANGES["full" if full else "limited"]
    luma = first.to_ndarray()[:90]
    assert abs(int(luma.min()) - (0 if full else 16)) < 10
    assert abs(int(luma.max()) - (255 if full else 235)) < 10


def test_a_keyframe_comes_as_often_as_asked_at_any_rate():
    got = []
    format = PictureFormat(96, 128)
    encoder = LiveEncoder(format, LiveEncode(encoder="x264", keyframe_s=0.5), got.append)
    times = [n * 3600 for n in range(50)] + [50 * 3600 + n * 18000 for n in range(10)]
    for number, pts in enumerate(times):
        encoder.write(frame(number, format, pts))
    encoder.close()
    starts = [message.pts / 90_000 for message in got if message.keyframe]
    gaps = np.diff(starts)
    assert gaps.max() <= 0.5 + 0.2
    assert gaps.min() >= 0.3


def test_every_option_for_nvenc_is_one_that_ffmpeg_knows():
    known = list_encoder_options(imageio_ffmpeg.get_ffmpeg_exe(), "h264_nvenc")
    assert set(_SPECIFIC["h264_nvenc"]) <= known


def test_after_a_gap_of_minutes_one_frame_is_a_keyframe_and_not_each():
    format, got = FORMATS[0], []
    running = LiveEncoder(format, LiveEncode(encoder="x264"), got.append)
    seconds = [n / 10 for n in range(15)] + [300 + n / 10 for n in range(25)]
    for number, second in enumerate(seconds):
        running.write(frame(number % 8, format, round(second * 90_000)))
    running.close()
    keys = [packet.pts / 90_000 for packet in got[1:] if packet.keyframe]
    assert keys == [0, 1, 300, 301, 302]


def test_an_encoder_that_nvenc_opens_no_more_is_followed_by_software(monkeypatch):
    """As the session limit of consumer cards shows: what worked when it was tried is refused when it is wanted."""
    monkeypatch.setattr(encoder, "_refusals", [])
    monkeypatch.setattr(encoder, "_why_software", lambda _: "")
    choice = choose_live_encoder(LiveEncode(encoder="x264"), FORMATS[0])
    broken = replace(choice, encoder="h264_nvenc", arguments=(("c:v", "no_such_encoder"),))
    monkeypatch.setattr(encoder, "choose_live_encoder", lambda *_: broken)
    assert encoder.why_software("ffmpeg") == ""
    first = LiveEncoder(FORMATS[0], LiveEncode(), lambda _: None)
    many = (frame(number % 8, FORMATS[0], number * 3600) for number in range(10_000))
    with pytest.raises(SinkError, match="h264_nvenc"):
        deque(map(first.write, many), maxlen=0)
    assert encoder.why_software("ffmpeg").startswith("libx264, because NVENC took no more streams (")
