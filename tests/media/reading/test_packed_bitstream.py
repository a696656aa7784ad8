"""DivX's packed bitstream: every picture at the time of its packet."""

from fractions import Fraction

import pytest
from support.clips import read_number
from support.encoding import write
from support.packed_avi import pack

from vsr.media.reading.source import VideoSource
from vsr.options import ReadOptions


def read(path, **more):
    source = VideoSource(path, threads=1, **more)
    return list(source.frames()), source.counts


@pytest.mark.parametrize("b_frames", [1, 2])
def test_every_picture_comes_at_the_time_of_its_packet(make_clip, tmp_path, b_frames):
    for num_frames in (25, 26, 27):
        clip = make_clip("a.mp4", num_frames=num_frames, size=(96, 128))
        for ends_early in (False, True):
            packed = pack(clip, tmp_path / "packed.avi", b_frames=b_frames, ends_early=ends_early)
            frames, counts = read(packed)
            assert [read_number(frame.planes[0]) for frame in frames] == list(range(num_frames))
            assert [frame.pts for frame in frames] == list(range(num_frames))
            assert counts.notes == []
    part, _ = read(packed, from_pts=14)
    assert [(read_number(frame.planes[0]), frame.pts) for frame in part] == [(n, n) for n in range(14, 27)]
    late, _ = read(packed, options=ReadOptions(start="0.6"))
    assert [read_number(frame.planes[0]) for frame in late] == list(range(15, 27))


def test_a_packed_file_is_written_whole(make_clip, tmp_path):
    packed = pack(make_clip("a.mp4", num_frames=26, size=(96, 128)), tmp_path / "packed.avi")
    report = write(packed, tmp_path / "out.mp4")
    assert report.num_frames == 26
    assert report.verification.differences == ()
    assert report.verification.shift == Fraction(0)


def test_a_file_that_is_not_packed_is_read_as_ever(make_clip):
    clip = make_clip("a.avi", codec="mpeg4", num_frames=26, b_frames=2)
    frames, _ = read(clip)
    assert [read_number(frame.planes[0]) for frame in frames] == list(range(26))
