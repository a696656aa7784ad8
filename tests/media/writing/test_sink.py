"""The file sink as a whole: tags, depth and HDR survive, and no failure leaves anything behind."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from support.encoding import HDR, noise, write

from vsr.durable import WorkFolder, work_folder
from vsr.durable.marks import MARK
from vsr.errors import ConfigError, SinkError
from vsr.frames import Frame, PictureFormat, StreamInfo
from vsr.media.probe_video import probe
from vsr.media.reading.source import VideoSource
from vsr.media.writing.muxers import output_container
from vsr.media.writing.sink import FileSink, MemorySink
from vsr.options import EncodeOptions

FAST = EncodeOptions(encoder="x264", preset="ultrafast", quality=90)
TICK = Fraction(1, 90000)


def memory(format, **facts):
    info = StreamInfo("memory", "video", "memory", "rawvideo", "", format, time_base=TICK)
    return replace(info, **facts)


def write_frames(path, frames, *, options=FAST, **facts):
    format = frames[0].format
    sink = FileSink(path, source=memory(format, **facts), format=format, options=options)
    with sink:
        for frame in frames:
            sink.write(frame)
    return sink.report


def children():
    found = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "comm="], capture_output=True, text=True, check=False
    )
    return [line for line in found.stdout.split() if "ffmpeg" in line]


@pytest.fixture
def nothing_left(tmp_path):
    """Check after the test that neither file, child nor thread is left."""
    threads = set(threading.enumerate())
    yield
    assert [p.name for p in tmp_path.iterdir() if "out" in p.name or p.name.startswith(".")] == []
    assert children() == []
    assert set(threading.enumerate()) <= threads


def test_memory_sink_keeps_frames_in_order():
    frames = list(noise(PictureFormat(8, 8), range(3)))
    with MemorySink() as sink:
        for frame in frames:
            sink.write(frame)
    assert sink.frames == frames


@pytest.mark.parametrize("range_", ["limited", "full"])
@pytest.mark.parametrize(
    ("name", "encoder"),
    [("a.mp4", "x264"), ("a.mp4", "x265"), ("a.mkv", "ffv1"), ("a.webm", "vp9"), ("a.mp4", "av1")],
)
def test_colour_tags_and_values_survive(tmp_path, name, encoder, range_):
    tags = {"matrix": "smpte170m", "primaries": "smpte170m", "transfer": "smpte170m", "range": range_}
    format = PictureFormat(64, 96, **tags, sample_aspect=Fraction(40, 33))
    planes = tuple(np.full(format.plane_size(i), value, np.uint8) for i, value in enumerate((250, 90, 200)))
    preset = {"x264": "ultrafast", "x265": "ultrafast", "vp9": "8", "av1": "12"}.get(encoder, "")
    options = EncodeOptions(encoder=encoder, preset=preset, quality=95)
    write_frames(tmp_path / name, [Frame(planes, format, n * 3600, TICK) for n in range(3)], options=options)
    info = probe(tmp_path / name)
    kept = {key: getattr(info.format, key) for key in tags}
    assert kept == tags
    assert abs(info.format.sample_aspect - Fraction(40, 33)) * 96 <= 1
    assert not info.pixel_format.startswith("yuvj") or range_ == "full"
    for frame in VideoSource(tmp_path / name, info=info, threads=1).frames():
        for plane, value in zip(frame.planes, (250, 90, 200), strict=True):
            assert abs(float(plane.mean()) - value) < 2


@pytest.mark.parametrize("siting", ["left", "center", "topleft"])
def test_chroma_siting_survives(tmp_path, siting):
    format = PictureFormat(64, 96, matrix="bt709", siting=siting)
    write_frames(tmp_path / "a.mkv", list(noise(format, [0, 1])))
    assert probe(tmp_path / "a.mkv").format.siting == siting


@pytest.mark.parametrize(("encoder", "name"), [("x265", "a.mp4"), ("ffv1", "a.mkv"), ("x264", "a.mov")])
def test_ten_bits_keep_more_than_256_values(tmp_path, encoder, name):
    format = PictureFormat(64, 1024, 10)
    luma = ((np.arange(1024) + np.arange(64)[:, None]) * 3 // 4 + 64).astype(np.uint16)
    chroma = np.full(format.plane_size(1), 512, np.uint16)
    options = EncodeOptions(encoder=encoder, quality=100, preset="" if encoder == "ffv1" else "ultrafast")
    write_frames(
        tmp_path / name, [Frame((luma, chroma, chroma), format, n, TICK) for n in range(2)], options=options
    )
    info = probe(tmp_path / name)
    frame = next(VideoSource(tmp_path / name, info=info, threads=1).frames())
    assert len(np.unique(frame.planes[0])) > 256


@pytest.mark.parametrize("encoder", ["x265", "av1"])
def test_hdr_metadata_survives(tmp_path, encoder):
    tags = {"matrix": "bt2020nc", "primaries": "bt2020", "transfer": "smpte2084"}
    format = PictureFormat(64, 96, 10, **tags)
    options = EncodeOptions(encoder=encoder, preset="12" if encoder == "av1" else "ultrafast")
    write_frames(tmp_path / "a.mp4", list(noise(format, range(3))), options=options, mastering=HDR)
    info = probe(tmp_path / "a.mp4")
    assert (info.format.matrix, info.format.primaries, info.format.transfer) == tuple(tags.values())
    found = info.mastering
    assert found is not None
    assert (found.max_content_light, found.max_frame_average_light) == (1000, 400)
    for (x, y), (a, b) in zip(found.primaries, HDR.primaries, strict=True):
        assert abs(x - a) < Fraction(1, 10_000)
        assert abs(y - b) < Fraction(1, 10_000)
    assert abs(found.max_luminance - 1000) < 1
    assert abs(found.min_luminance - Fraction(1, 10_000)) < Fraction(1, 10_000)


def test_rgb_is_converted_by_bt709(tmp_path):
    format = PictureFormat(64, 96, 8, "rgb", matrix="gbr", range="full")
    red = tuple(np.full((64, 96), value, np.uint8) for value in (255, 0, 0))
    report = write_frames(tmp_path / "a.mp4", [Frame(red, format, n, TICK) for n in range(2)])
    info = probe(tmp_path / "a.mp4")
    assert (info.format.layout, info.format.matrix, info.format.range) == ("yuv444", "bt709", "limited")
    frame = next(VideoSource(tmp_path / "a.mp4", info=info, threads=1).frames())
    assert [round(float(plane.mean())) for plane in frame.planes] == pytest.approx([63, 102, 240], abs=1)
    assert any("yuv444p instead of gbrp" in note for note in report.notes)


@pytest.mark.parametrize(("encoder", "bit_depth"), [("x264", 8), ("x264", 10), ("x265", 8), ("ffv1", 8)])
def test_grey_stays_grey(tmp_path, encoder, bit_depth):
    """FFmpeg decodes grey H.264 as 4:2:0 without colour, which is no difference."""
    format = PictureFormat(64, 96, bit_depth, "gray", range="full")
    options = EncodeOptions(encoder=encoder, preset="" if encoder == "ffv1" else "ultrafast")
    report = write_frames(tmp_path / "a.mkv", list(noise(format, [0, 3600])), options=options)
    assert report.verification.differences == ()


@pytest.mark.parametrize("encoder", ["ffv1", "libx264rgb"])
@pytest.mark.parametrize("layout", ["rgb", "yuv420"])
def test_encoders_of_rgb_say_so_in_the_file(tmp_path, encoder, layout):
    tags = {"matrix": "gbr", "range": "full"} if layout == "rgb" else {"matrix": "bt709"}
    format = PictureFormat(64, 96, 8, layout, **tags)
    values = (250, 90, 20) if layout == "rgb" else (63, 102, 240)
    planes = tuple(np.full(format.plane_size(i), value, np.uint8) for i, value in enumerate(values))
    options = EncodeOptions(encoder=encoder, quality=95)
    write_frames(
        tmp_path / "a.mkv", [Frame(planes, format, n * 3600, TICK) for n in range(2)], options=options
    )
    wanted = {"libx264rgb": "rgb"}.get(encoder, layout)
    info = probe(tmp_path / "a.mkv")
    assert info.format.layout == wanted
    found = next(VideoSource(tmp_path / "a.mkv", info=info, threads=1).frames())
    expected = (255, 0, 0) if wanted != layout else values
    assert [round(float(plane.mean())) for plane in found.planes] == pytest.approx(expected, abs=2)


@pytest.mark.parametrize("size", [(65, 97), (64, 97), (65, 96)])
@pytest.mark.parametrize("encoder", ["x264", "x265", "vp9", "ffv1"])
def test_odd_sizes_are_never_cropped(tmp_path, size, encoder):
    format = PictureFormat(*size)
    options = EncodeOptions(encoder=encoder, preset={"vp9": "8", "ffv1": ""}.get(encoder, "ultrafast"))
    write_frames(tmp_path / "a.mkv", list(noise(format, [0, 1])), options=options)
    found = probe(tmp_path / "a.mkv").format
    assert (found.height, found.width) == size


@pytest.mark.parametrize(("encoder", "name"), [("prores_ks", "a.mov"), ("libx264rgb", "a.mkv")])
def test_an_encoder_of_ffmpegs_own_list_works(tmp_path, encoder, name):
    format = PictureFormat(64, 96, 10)
    options = EncodeOptions(encoder=encoder)
    report = write_frames(tmp_path / name, list(noise(format, [0, 3600])), options=options)
    assert report.encoder == encoder
    assert report.notes


@pytest.mark.parametrize(
    "name", ["co:lon.mp4", "動" * 80 + ".mkv", "ü 'q\" %03d\n.mkv", "-a.mp4", os.fsdecode(b"latin\xe9.mp4")]
)
def test_any_name_is_written(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_frames(Path(name), list(noise(PictureFormat(64, 96), [0, 3600])))
    assert probe(Path(name)).format.width == 96
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_ffmpeg_cannot_name_is_found_before_any_frame(tmp_path):
    folder = tmp_path / os.fsdecode(b"latin\xe9")
    folder.mkdir()
    with pytest.raises(SinkError, match="not UTF-8"):
        write_frames(folder / "a.mp4", list(noise(PictureFormat(64, 96), [0])))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
def test_one_frame_is_a_video_too(tmp_path, name):
    report = write_frames(tmp_path / name, list(noise(PictureFormat(64, 96), [900])))
    assert report.num_frames == 1
    assert report.num_bytes == (tmp_path / name).stat().st_size


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
def test_negative_times(tmp_path, name):
    report = write_frames(tmp_path / name, list(noise(PictureFormat(64, 96), range(-9000, 9000, 3600))))
    assert report.num_frames == 5
    assert any("0.100000 s later" in note for note in report.notes)


def test_the_last_frame_keeps_its_duration(tmp_path):
    frames = list(noise(PictureFormat(64, 96), [0, 3600, 7200]))
    frames[-1] = replace(frames[-1], duration=9000)
    write_frames(tmp_path / "a.mp4", frames)
    assert probe(tmp_path / "a.mp4").duration_s == pytest.approx((7200 + 9000) / 90000)


@pytest.mark.usefixtures("nothing_left")
def test_killed_encoder_leaves_nothing(tmp_path):
    format = PictureFormat(64, 96)
    sink = FileSink(tmp_path / "out.mp4", source=memory(format), format=format, options=FAST)

    def feed():
        with sink:
            for n, frame in enumerate(noise(format, range(100_000))):
                if n == 30:
                    assert sink._encoder is not None
                    os.kill(sink._encoder.pid, 9)
                sink.write(frame)

    began = time.monotonic()
    with pytest.raises(SinkError, match="signal 9"):
        feed()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "error", [ValueError("source broke"), KeyboardInterrupt()], ids=["error", "interrupt"]
)
@pytest.mark.usefixtures("nothing_left")
def test_an_exception_elsewhere_passes_and_leaves_nothing(tmp_path, error):
    format = PictureFormat(64, 96)

    def feed():
        with FileSink(tmp_path / "out.mkv", source=memory(format), format=format, options=FAST) as sink:
            for frame in noise(format, range(10)):
                sink.write(frame)
            raise error

    with pytest.raises(type(error)) as caught:
        feed()
    assert caught.value is error


@pytest.mark.usefixtures("nothing_left")
def test_no_frames_leave_nothing(tmp_path):
    format = PictureFormat(64, 96)
    with (
        pytest.raises(SinkError, match="no frame"),
        FileSink(tmp_path / "out.mkv", source=memory(format), format=format, options=FAST),
    ):
        pass


@pytest.mark.parametrize("folder", ["missing", "file", "locked"])
def test_bad_output_folder_is_found_before_any_frame(tmp_path, folder):
    format = PictureFormat(64, 96)
    (tmp_path / "file").write_text("")
    (tmp_path / "locked").mkdir(mode=0o500)
    if folder == "locked" and os.access(tmp_path / "locked", os.W_OK):
        pytest.skip("this user may write anywhere")
    sink = FileSink(tmp_path / folder / "out.mp4", source=memory(format), format=format, options=FAST)
    with pytest.raises(SinkError, match="folder"):
        sink.__enter__()
    assert children() == []


def test_the_input_is_not_overwritten(make_clip):
    clip = make_clip("in.mp4")
    before = clip.read_bytes()
    with pytest.raises(SinkError, match="is the input itself"):
        write(clip, clip)
    assert clip.read_bytes() == before


def test_an_existing_output_stays_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "out.mp4"
    target.write_text("old")
    format = PictureFormat(64, 96)
    with FileSink(target, source=memory(format), format=format, options=FAST) as sink:
        for frame in noise(format, range(3)):
            sink.write(frame)
        assert target.read_text() == "old"
    assert probe(target).num_frames == 3


@pytest.mark.parametrize(
    ("out", "asked", "expected"),
    [("b.mp4", "auto", "mp4"), ("b.m4v", "auto", "mp4"), ("b.mkv", "mkv", "mkv"), ("b.out", "mkv", "mkv")],
)
def test_container_follows_the_name_then_the_wish(out, asked, expected):
    assert output_container(out, EncodeOptions(container=asked)) == expected


def test_an_unknown_ending_is_refused():
    with pytest.raises(ConfigError, match=r"does not end in \.mp4"):
        output_container("out.xyz", EncodeOptions())


def test_ctrl_c_removes_everything(tmp_path):
    """A real SIGINT to a real process: exit, no files, no child."""
    code = f"""
import itertools, numpy as np
from fractions import Fraction
from vsr.options import EncodeOptions
from vsr.frames import Frame, PictureFormat, StreamInfo
from vsr.media.writing.sink import FileSink
f = PictureFormat(64, 96)
info = StreamInfo("memory", "video", "memory", "rawvideo", "", f, time_base=Fraction(1, 1000))
planes = tuple(np.zeros(f.plane_size(i), np.uint8) for i in range(3))
with FileSink({str(tmp_path / "out.mp4")!r}, source=info, format=f, options=EncodeOptions(encoder="x264")) as sink:
    for n in itertools.count():
        sink.write(Frame(planes, f, n, info.time_base))
        if n == 20:
            print(sink._encoder.pid, flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        cwd=Path(__file__).parents[3], start_new_session=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.send_signal(2)
        assert process.wait(20) != 0
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_name_and_a_container_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match="do not go together"):
        output_container("b.mp4", EncodeOptions(container="mkv"))


def test_leftovers_of_a_killed_run_are_swept_and_nobody_works_where_another_does(tmp_path):
    target, format = tmp_path / "out.mkv", PictureFormat(64, 96)
    killed = WorkFolder(work_folder(target))
    killed.fresh("video", ".nut").write_bytes(b"x")
    killed.release()
    hold = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    )
    holder = [sys.executable, "-c", hold, str(work_folder(target) / MARK)]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with (
            pytest.raises(SinkError, match="another process"),
            FileSink(target, source=memory(format), format=format, options=FAST) as sink,
        ):
            sink.write(next(iter(noise(format, range(3)))))
        assert [path.suffix for path in work_folder(target).iterdir() if path.name != MARK] == [".nut"]
        other.communicate(b"\n")
    with FileSink(target, source=memory(format), format=format, options=FAST) as sink:
        for frame in noise(format, range(3)):
            sink.write(frame)
    assert not work_folder(target).exists()
