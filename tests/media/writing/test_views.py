"""Spherical and stereo facts are in the result, or named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.beside import spherical, with_box
from support.encoding import FAST, write

from vsr.frames import Immersive
from vsr.jobs import Job, make_plan
from vsr.media.probe_video import probe
from vsr.media.writing.views import missing_views
from vsr.options import EncodeOptions, EnhanceOptions, ModelOptions, PictureOptions

MakeClip = Callable[..., Path]
TURNED = Immersive("equirectangular", (90 << 16, 0, 0))
CONTAINERS = {"mp4": ("x264", "x265", "av1"), "mkv": ("x264", "x265", "ffv1", "prores"), "webm": ("vp9",)}


@pytest.mark.parametrize("stereo", [0, 1, 2])
def test_they_are_read_and_written(make_clip: MakeClip, stereo: int):
    clip = with_box(make_clip(num_frames=3, size=(64, 128)), spherical(stereo=stereo))
    packing = ("", "top and bottom", "side by side")[stereo]
    wanted = replace(TURNED, packing=packing)
    assert probe(clip).immersive == wanted
    for container, encoders in CONTAINERS.items():
        for encoder in encoders if stereo == 2 else encoders[:1]:
            target = clip.with_name(f"o.{container}")
            report = write(clip, target, options=replace(FAST, encoder=encoder, preset=""))
            assert (not report.left_out, probe(target).immersive) == (True, wanted)


def test_quicktime_holds_a_projection_that_is_not_turned(make_clip: MakeClip, tmp_path: Path):
    flat = replace(TURNED, turned=(0, 0, 0))
    told = [(0, 0, flat, []), (2, 0, flat, ["stereo views"]), (0, 90, None, ["spherical projection"])]
    for number, (stereo, yaw, kept, lost) in enumerate(told):
        clip = with_box(make_clip(f"{number}.mp4", num_frames=3), spherical(stereo=stereo, yaw=yaw))
        report = write(clip, tmp_path / "o.mov")
        assert list(report.left_out) == [f"{what}: mov has no place for it" for what in lost]
        assert probe(tmp_path / "o.mov").immersive == kept


def test_a_second_generation_is_the_same(make_clip: MakeClip, tmp_path: Path):
    clip = with_box(make_clip(num_frames=3, size=(64, 128)), spherical(stereo=2))
    write(clip, tmp_path / "a.mkv")
    write(tmp_path / "a.mkv", tmp_path / "b.mp4")
    assert not write(tmp_path / "b.mp4", tmp_path / "c.mkv").left_out
    assert probe(tmp_path / "c.mkv").immersive == probe(clip).immersive


def test_what_a_codec_has_no_place_for_is_named(make_clip: MakeClip, tmp_path: Path):
    clip = with_box(make_clip(num_frames=3, size=(64, 128)), spherical(stereo=1))
    report = write(clip, tmp_path / "o.mkv", options=EncodeOptions(encoder="mpeg4"))
    assert [line.split(":")[0] for line in report.left_out] == ["stereo views", "spherical projection"]
    assert missing_views(TURNED, TURNED) == []


def test_views_that_enlarging_would_mix_are_named(make_clip: MakeClip):
    lines = {"frame-packing": "2"}  # line by line
    packed = ":".join(f"{name}={value}" for name, value in lines.items())
    clip = make_clip(num_frames=3, codec_options={"x264-params": packed})
    info = probe(clip)
    assert info.immersive is None
    assert any(note.startswith("left out: stereo views") for note in info.notes)


def test_cut_pictures_are_no_longer_spherical(make_clip: MakeClip, tmp_path: Path):
    clip = with_box(make_clip(num_frames=3, size=(64, 128)), spherical())
    job, models = Job(clip, tmp_path / "o.mp4", is_image=False), ModelOptions(model=("bicubic",))
    plan = make_plan(job, EnhanceOptions(models=models, picture=PictureOptions(crop_top=8)))
    assert plan.frames.immersive is None
    assert "left out: spherical and stereo facts: the pictures are cut" in plan.notes
    assert make_plan(job, EnhanceOptions(models=models)).frames.immersive == TURNED
