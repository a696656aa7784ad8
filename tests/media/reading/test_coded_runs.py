"""Runs of pictures, and the quantisers that decoders tell."""

import pytest
from support.clips import read_number

from vsr.errors import SourceError
from vsr.media.probe_video import probe
from vsr.media.reading import coded_runs
from vsr.media.reading.coded_runs import read_runs

CONSTANT = {"qp": "30", "crf": "-1", "bf": "0", "x264-params": "ipratio=1"}
"""For x264, in all pictures."""


@pytest.mark.parametrize(
    ("name", "codec", "options", "quantiser"),
    [
        ("a.mkv", "libx264", CONSTANT, 30),
        ("a.avi", "mpeg4", {"qmin": "9", "qmax": "9"}, 9),
        ("a.mpg", "mpeg2video", {"qmin": "6", "qmax": "6"}, 6),
        ("a.avi", "mjpeg", {"qmin": "12", "qmax": "12"}, 12),
        ("a.mkv", "ffv1", {}, None),
    ],
)
def test_decoders_tell_their_quantisers(make_clip, name, codec, options, quantiser):
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    clip = make_clip(name, codec=codec, pixel_format=pixels, codec_options=options, num_frames=4)
    (run,) = read_runs(probe(clip), [0.0], length=3)
    for picture in run:
        assert picture.quantiser == (quantiser if quantiser is None else pytest.approx(quantiser, abs=0.7))


def test_ten_bits_count_as_eight_do(make_clip):
    clip = make_clip("a.mkv", pixel_format="yuv420p10le", codec_options=CONSTANT | {"qp": "42"}, num_frames=3)
    (run,) = read_runs(probe(clip), [0.0], length=2)
    assert [picture.quantiser for picture in run] == pytest.approx([30, 30], abs=0.7)


def test_runs_begin_where_they_are_wanted(make_clip):
    clip = make_clip("a.mkv", num_frames=40, gop=10, b_frames=2)
    runs = list(read_runs(probe(clip), [0.0, 0.8], length=3))
    assert [[read_number(picture.frame.planes[0]) for picture in run] for run in runs] == [
        [0, 1, 2],
        [20, 21, 22],
    ]
    assert runs[0][0].is_key
    assert runs[0][0].bits
    assert not runs[0][1].is_key


def test_in_a_long_video_runs_begin_at_key_frames_each_once(make_clip, monkeypatch):
    monkeypatch.setattr(coded_runs, "_MOST", 30)
    clip = make_clip("a.mkv", num_frames=40, gop=10, b_frames=0)
    found = list(read_runs(probe(clip), [0.0, 0.5, 0.6, 1.3], length=2))
    assert [[read_number(picture.frame.planes[0]) for picture in run] for run in found] == [
        [0, 1],
        [10, 11],
        [30, 31],
    ]
    assert all(run[0].is_key for run in found)


def test_a_long_video_with_one_key_frame_is_read_from_its_beginning(make_clip, monkeypatch):
    monkeypatch.setattr(coded_runs, "_MOST", 30)
    clip = make_clip("a.mkv", num_frames=40, gop=250, b_frames=0)
    runs = list(read_runs(probe(clip), [0.0, 0.5, 1.0], length=2))
    assert [read_number(run[0].frame.planes[0]) for run in runs] == [0, 13, 25]


def test_no_video_is_refused(make_clip, tmp_path):
    info = probe(make_clip("a.mkv", num_frames=2))
    (tmp_path / "a.mkv").unlink()
    with pytest.raises(SourceError, match="no such file"):
        list(read_runs(info, [0.0], length=2))
