"""NVDEC. Without a GPU: what is said and done where it cannot be had, and that its planes become ours bit for bit."""

import av
import numpy as np
import pytest
import torch

from vsr.errors import ConfigError, SourceError
from vsr.frames import Frame, PictureFormat
from vsr.media.pixels import PlanarConverter, read_planes
from vsr.media.probe_video import open_container
from vsr.media.reading.nvdec import SEMIPLANAR, why_no_nvdec
from vsr.media.reading.source import VideoSource
from vsr.options import ReadOptions


def interleaved(planes: list[np.ndarray], depth: int, name: str) -> av.VideoFrame:
    """Planes as NVDEC hands them down: U and V in turn, 10 bits at the upper end."""
    height, width = planes[0].shape
    picture = av.VideoFrame(width, height, name)
    shift = 16 - depth if depth > 8 else 0
    luma, chroma = (
        np.frombuffer(plane, planes[0].dtype)[: plane.height * plane.line_size // planes[0].itemsize].reshape(
            plane.height, -1
        )
        for plane in picture.planes
    )
    luma[:, :width] = planes[0] << shift
    across = 2 * planes[1].shape[1]
    chroma[:, 0:across:2], chroma[:, 1:across:2] = planes[1] << shift, planes[2] << shift
    return picture


@pytest.mark.parametrize("range_", ["limited", "full"])
@pytest.mark.parametrize("size", [(5, 7), (36, 64), (270, 482)])
@pytest.mark.parametrize("depth", [8, 10])
def test_pictures_of_nvdec_become_the_planes_of_software_decoding(depth, size, range_):
    format = PictureFormat(*size, depth, "yuv420", matrix="bt709", range=range_)
    rng = np.random.default_rng(1)
    dtype = np.uint8 if depth == 8 else np.uint16
    planes = [rng.integers(0, 1 << depth, format.plane_size(i)).astype(dtype) for i in range(3)]
    picture = interleaved(planes, depth, SEMIPLANAR[depth])
    picture.color_range = 2 if range_ == "full" else 1
    for got, wanted in zip(
        read_planes(PlanarConverter(format).convert(picture), format), planes, strict=True
    ):
        np.testing.assert_array_equal(got, wanted)


def frames_of(path, decoder: str) -> tuple[list[Frame], list[str]]:
    source = VideoSource(path, ReadOptions(decoder=decoder))  # type: ignore[arg-type]
    frames = [Frame(tuple(p.copy() for p in f.planes), f.format, f.pts, f.time_base) for f in source.frames()]
    return frames, source.counts.notes


def assert_same(got: list[Frame], wanted: list[Frame]) -> None:
    assert [(f.pts, f.time_base, f.format) for f in got] == [(f.pts, f.time_base, f.format) for f in wanted]
    for one, other in zip(got, wanted, strict=True):
        for a, b in zip(one.planes, other.planes, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.fixture
def no_gpu() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")


@pytest.fixture
def no_driver(monkeypatch) -> None:
    """As where PyTorch sees a GPU and FFmpeg does not, such as a container without its video libraries."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_auto_decodes_in_software_and_says_nothing(make_clip):
    path = make_clip()
    frames, notes = frames_of(path, "auto")
    assert notes == []
    assert_same(frames, frames_of(path, "software")[0])


@pytest.mark.usefixtures("no_gpu")
def test_nvdec_without_a_gpu_is_refused_with_what_is_accepted(make_clip):
    with pytest.raises(
        ConfigError, match=r"^decoder nvdec needs a CUDA device; auto and software are accepted here$"
    ):
        VideoSource(make_clip(), ReadOptions(decoder="nvdec"))


@pytest.mark.usefixtures("no_driver")
@pytest.mark.parametrize("start", ["", "0.2"])
def test_where_nvdec_cannot_be_opened_auto_goes_on_in_software_with_a_note(make_clip, start):
    path = make_clip(num_frames=12)
    source = VideoSource(path, ReadOptions(start=start))
    for _ in range(2):
        times = [frame.pts for frame in source.frames()]
        wanted = [
            frame.pts for frame in VideoSource(path, ReadOptions(start=start, decoder="software")).frames()
        ]
        assert times == wanted
    source = VideoSource(path, ReadOptions(start=start))
    list(source.frames())
    (note,) = source.counts.notes
    assert note.startswith("decoded in software: NVDEC cannot be opened for ")
    assert "\n" not in note


@pytest.mark.usefixtures("no_driver")
def test_where_nvdec_cannot_be_opened_asking_for_it_is_an_error_of_one_line(make_clip):
    source = VideoSource(make_clip(), ReadOptions(decoder="nvdec"))
    with pytest.raises(
        SourceError, match=r"^NVDEC cannot be opened for '.*' \(.*\); use --decoder software$"
    ):
        list(source.frames())


@pytest.mark.usefixtures("no_driver")
def test_what_nvdec_does_not_give_in_our_planes_is_refused_or_left_to_software(make_clip):
    path = make_clip("a.mkv", pixel_format="yuv422p10le", codec="ffv1")
    with pytest.raises(
        ConfigError, match=r"^decoder nvdec takes 4:2:0 of 8 or 10 bits, and '.*' is yuv422p10le; "
    ):
        VideoSource(path, ReadOptions(decoder="nvdec"))
    assert frames_of(path, "auto")[1] == []


@pytest.mark.usefixtures("no_driver")
def test_a_codec_that_nvdec_does_not_know_is_refused_or_left_to_software(make_clip):
    path = make_clip("a.mkv", codec="ffv1")
    with pytest.raises(SourceError, match=r"^NVDEC does not decode the ffv1 of '.*'; use auto$"):
        list(VideoSource(path, ReadOptions(decoder="nvdec")).frames())
    frames, notes = frames_of(path, "auto")
    assert notes == []
    assert_same(frames, frames_of(path, "software")[0])


@pytest.mark.usefixtures("no_driver")
def test_a_stream_that_the_gpu_refuses_is_opened_again_with_all_threads(make_clip, monkeypatch):
    path = make_clip(num_frames=12)
    threads: list[int] = []
    opened = VideoSource._open

    def noting(self: VideoSource):
        container = opened(self)
        threads.append(container.streams.video[0].thread_count)
        return container

    monkeypatch.setattr(VideoSource, "_open", noting)
    monkeypatch.setattr("vsr.media.reading.source.open_on_gpu", lambda path, gpu: open_container(path))
    frames, notes = frames_of(path, "auto")
    assert len(frames) == 12
    assert notes == []
    assert threads[0] == 1
    assert threads[1] != 1


@pytest.mark.usefixtures("no_driver")
def test_auto_tries_no_gpu_for_an_engine_on_a_cpu_nor_for_h264_of_10_bits(make_clip, monkeypatch):
    monkeypatch.setattr("vsr.media.reading.source.open_on_gpu", lambda *_: pytest.fail("tried"))
    assert len(list(VideoSource(make_clip(num_frames=3), gpu=None).frames())) == 3
    deep = make_clip("deep.mkv", num_frames=3, pixel_format="yuv420p10le")
    assert len(list(VideoSource(deep).frames())) == 3


@pytest.mark.usefixtures("no_gpu")
def test_what_keeps_nvdec_from_opening_is_a_line():
    reason = why_no_nvdec()
    assert reason
    assert "\n" not in reason


@pytest.mark.usefixtures("no_driver")
def test_auto_leaves_codecs_to_software_whose_decoders_may_differ(make_clip):
    assert frames_of(make_clip("a.mkv", codec="mpeg2video"), "auto")[1] == []


CLIPS = {
    "h264": {"name": "a.mp4", "b_frames": 2},
    "h264 of odd lines": {"name": "a.mp4", "size": (146, 178)},
    "hevc": {"name": "a.mkv", "codec": "libx265"},
    "hevc of 10 bits": {"name": "a.mkv", "codec": "libx265", "pixel_format": "yuv420p10le"},
    "mpeg2": {"name": "a.mkv", "codec": "mpeg2video"},
}


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("clip", CLIPS)
def test_nvdec_gives_what_software_gives(make_clip, clip):
    path = make_clip(**({"size": (144, 176), "num_frames": 30} | CLIPS[clip]))
    try:
        frames, notes = frames_of(path, "nvdec")
    except SourceError as error:
        pytest.skip(f"this GPU or its driver does not decode it: {error}")
    assert notes == []
    if "mpeg2" not in clip:  # its inverse transform is not defined to the bit
        assert_same(frames, frames_of(path, "software")[0])
    assert [frame.pts for frame in frames] == [frame.pts for frame in frames_of(path, "software")[0]]


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
def test_nvdec_starts_at_the_frame_asked_for(make_clip):
    path = make_clip(size=(144, 176), num_frames=40, gop=12)
    options = {"start": "0.6", "end": "1.2"}
    try:
        there = [frame.pts for frame in VideoSource(path, ReadOptions(decoder="nvdec", **options)).frames()]
    except SourceError as error:
        pytest.skip(f"this GPU or its driver does not decode it: {error}")
    assert there == [
        frame.pts for frame in VideoSource(path, ReadOptions(decoder="software", **options)).frames()
    ]
