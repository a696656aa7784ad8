"""A long job's clip and what becomes of it, made once and copied: a job knows its source by size, time and contents."""

import shutil
from pathlib import Path

import pytest
from support.clips import ClipOptions, write_clip
from support.long_jobs import contents, enhance, stopped


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory) -> Path:
    """100 frames with sound: six segments, as numbered pictures change by more than a scene does."""
    clip = ClipOptions(num_frames=100, size=(32, 48), gop=25, b_frames=2, audio=True)
    return write_clip(tmp_path_factory.mktemp("long") / "in.mkv", clip)


@pytest.fixture(scope="session")
def undisturbed(long_clip) -> tuple[list, list]:
    """`contents` of what one process makes of the clip in one go."""
    out = long_clip.with_name("whole.mkv")
    assert enhance(long_clip, out) == 0
    return contents(out)


@pytest.fixture(scope="session")
def three_segments(long_clip) -> Path:
    """The folder of a job that was ended after three segments."""
    return stopped(long_clip, long_clip.with_name("out.mkv"))


@pytest.fixture
def clip(long_clip, tmp_path) -> Path:
    return Path(shutil.copy2(long_clip, tmp_path / "in.mkv"))


@pytest.fixture
def half_done(three_segments, clip) -> Path:
    """`out.mkv` beside the clip, of which three segments are there."""
    shutil.copytree(three_segments, clip.with_name(three_segments.name))
    return clip.with_name("out.mkv")
