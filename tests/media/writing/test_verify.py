"""Verification finds what is wrong with a finished file, and the sink puts such a file aside."""

from fractions import Fraction

import av
import pytest
from support.clips import run_ffmpeg
from support.encoding import noise

from vsr.errors import VerifyError
from vsr.frames import PictureFormat, StreamInfo
from vsr.media.writing import output as output_module
from vsr.media.writing.sink import FileSink
from vsr.options import EncodeOptions

TICK = Fraction(1, 1000)
FORMAT = PictureFormat(
    64, 96, matrix="bt709", primaries="bt709", transfer="bt709", sample_aspect=Fraction(4, 3)
)


def drop_frame(path, broken):
    with av.open(str(path)) as old, av.open(str(broken), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream, opaque=True)
        for n, packet in enumerate(p for p in old.demux(stream) if p.size):
            if n != 7:
                packet.stream = copy
                new.mux(packet)


def delay(path, broken):
    run_ffmpeg("-itsoffset", "0.1", "-i", path, "-c", "copy", broken)


def move_one(path, broken):
    run_ffmpeg("-copyts", "-i", path, "-c", "copy", "-bsf:v", "setts=pts=PTS+if(eq(N\\,5)\\,3\\,0)", broken)


def wrong_tags(path, broken):
    run_ffmpeg(
        "-copyts", "-i", path, "-c", "copy", "-bsf:v",
        "h264_metadata=matrix_coefficients=6:colour_primaries=6:video_full_range_flag=1", broken,
    )  # fmt: skip


def wrong_aspect(path, broken):
    run_ffmpeg(
        "-copyts",
        "-i",
        path,
        "-c",
        "copy",
        "-bsf:v",
        "h264_metadata=sample_aspect_ratio=1",
        "-aspect",
        "3:2",
        broken,
    )


def other_size(path, broken):
    run_ffmpeg(
        "-copyts", "-i", path, "-vf", "scale=48:32,format=yuv420p10le", "-fps_mode", "passthrough", broken
    )


def cut_short(path, broken):
    broken.write_bytes(path.read_bytes()[:600])


FAULTS = [
    (drop_frame, "holds 11 frames, and 12 went"),
    (delay, "another time"),
    (move_one, "frames have another time"),
    (wrong_tags, "matrix is smpte170m instead of bt709"),
    (wrong_aspect, "sample aspect is 1 instead of 4/3"),
    (other_size, "size is 48x32 instead of 96x64"),
    (cut_short, "cannot be read back"),
]


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize(("fault", "message"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_file_is_put_aside(tmp_path, monkeypatch, container, fault, message):
    real_verify = output_module.verify

    def tampered(path, *args, **kwargs):
        whole = path.with_name(f"whole{path.suffix}")
        path.rename(whole)
        fault(whole, path)
        whole.unlink()
        return real_verify(path, *args, **kwargs)

    monkeypatch.setattr(output_module, "verify", tampered)
    info = StreamInfo("memory", "video", "memory", "rawvideo", "", FORMAT, time_base=TICK)
    options = EncodeOptions(encoder="x264", preset="ultrafast")
    sink = FileSink(tmp_path / f"out.{container}", source=info, format=FORMAT, options=options)

    def feed():
        with sink:
            for frame in noise(FORMAT, range(0, 480, 40), time_base=TICK):
                sink.write(frame)

    with pytest.raises(VerifyError, match=message):
        feed()
    assert [path.name for path in tmp_path.iterdir()] == [f"out.unverified.{container}"]
    assert sink.report is None
