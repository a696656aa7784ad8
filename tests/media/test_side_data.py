"""Whatever lies beside a picture is kept or named, and nothing that is not known ends a job."""

import json
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from av.sidedata.sidedata import Type
from support.beside import (
    CAPTIONS,
    dolby_vision,
    see_through,
    with_box,
    with_exif,
    with_h264_sei,
    with_mpeg2_user_data,
)
from support.clips import run_ffmpeg
from support.encoding import write

from vsr.errors import SourceError
from vsr.jobs import Job, make_plan
from vsr.media import VideoSource
from vsr.media.matroska_header import dolby_vision_of_metadata
from vsr.media.probe_video import probe
from vsr.media.side_data import KINDS, lines_of, side_data_of
from vsr.options import EnhanceOptions, ModelOptions, ReadOptions

MakeClip = Callable[..., Path]
CAPTIONS_LINE = "left out: closed captions (CEA-608/708)"


def told(path: Path) -> list[str]:
    """What is said of a file before and after, once each, without what is assumed of its colours."""
    source = VideoSource(path, threads=1)
    list(source.frames())
    lines = dict.fromkeys([*source.info.notes, *source.counts.notes])
    return [line for line in lines if "matrix" not in line and "time of their own" not in line]


def test_the_table_has_a_row_for_every_kind_that_has_a_name():
    assert {kind.value for kind in Type} <= set(KINDS)
    assert all(kind.why for kind in KINDS.values() if kind.fate == "left out")


def test_a_kind_that_nobody_knows_is_named(make_clip: MakeClip):
    assert list(lines_of([(4711, b"x")])) == ["left out: side data of kind 4711: it is not known here"]
    with av.open(make_clip(num_frames=1)) as clip:
        assert isinstance(side_data_of(next(clip.decode(video=0))), dict)
    assert Type(4711).value == 4711


def motion_jpeg(path: Path, orientation: int | None, number: int = 3) -> Path:
    picture = path.with_suffix(".jpg")
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.04:r=25", "-frames:v", "1", picture)
    path.write_bytes(with_exif(picture.read_bytes(), orientation) * number)
    return path


@pytest.mark.parametrize(("orientation", "rotation"), [(6, 270), (3, 180), (None, 0)])
def test_motion_jpeg_with_exif_is_read(tmp_path: Path, orientation: int | None, rotation: int):
    clip = motion_jpeg(tmp_path / "x.mjpeg", orientation)
    info = probe(clip)
    assert info.rotation == rotation
    assert any(note.startswith("left out: EXIF") for note in info.notes)
    assert len(list(VideoSource(clip, threads=1).frames())) == 3


@pytest.mark.parametrize(("orientation", "rotation"), [(2, 180), (4, 0), (5, 270), (7, 90)])
def test_mirrored_pictures_stay_mirrored(tmp_path: Path, orientation: int, rotation: int):
    clip = motion_jpeg(tmp_path / "x.mjpeg", orientation)
    info = probe(clip)
    assert (info.rotation, info.mirrored) == (rotation, True)
    assert any("mirror" in note for note in info.notes)
    for ending in ("mp4", "mov", "mkv"):
        write(clip, tmp_path / f"o.{ending}")
        with av.open(str(clip)) as before, av.open(str(tmp_path / f"o.{ending}")) as after:
            first, second = (side_data_of(next(each.decode(video=0)))[6][:20] for each in (before, after))
        assert first == second


def test_captions_are_named(make_clip: MakeClip, tmp_path: Path):
    plain = make_clip(num_frames=4, b_frames=0)
    assert not told(plain)
    early = with_h264_sei(plain, tmp_path / "early.mp4", 4, CAPTIONS)
    late = with_h264_sei(plain, tmp_path / "late.264", 4, CAPTIONS, skip=2)
    for clip in (early, late):
        (line,) = told(clip)
        assert line.startswith(CAPTIONS_LINE)
    assert any(note.startswith(CAPTIONS_LINE) for note in probe(early).notes), "before anything is done"
    mpeg2 = make_clip("m.mpg", codec="mpeg2video", num_frames=4, b_frames=0)
    (line,) = told(with_mpeg2_user_data(mpeg2, tmp_path / "u.m2v", CAPTIONS[3:]))
    assert line.startswith(CAPTIONS_LINE)


def test_active_format_is_named_where_it_says_something(make_clip: MakeClip, tmp_path: Path):
    clip = make_clip("m.mpg", codec="mpeg2video", num_frames=4, b_frames=0)
    for code, number in ((0xF8, 0), (0xFA, 1)):
        lines = told(with_mpeg2_user_data(clip, tmp_path / f"{code}.m2v", b"DTG1\x41" + bytes([code])))
        assert sum(line.startswith("left out: active format") for line in lines) == number == len(lines)


def test_user_data_is_named_but_for_what_encoders_write_of_themselves(make_clip: MakeClip, tmp_path: Path):
    clip = make_clip(num_frames=3)  # libx264 writes its settings
    (line,) = told(with_h264_sei(clip, tmp_path / "u.mp4", 5, b"MISPmicrosectime" + b"\x1f" * 12))
    assert line.startswith("left out: user data")
    (line,) = told(with_h264_sei(clip, tmp_path / "v.264", 5, b"MISPmicrosectime" + b"\x1f" * 12))
    assert not told(x265(tmp_path / "5.mp4"))


def test_dynamic_metadata_is_named(tmp_path: Path):
    bright = {"AverageRGB": 1, "MaxScl": [1, 1, 1]}
    bright["LuminanceDistributions"] = {
        "DistributionIndex": [1, 5, 10, 25, 50, 75, 90, 95, 99],
        "DistributionValues": [3, *[1] * 8],
    }
    scene = {"LuminanceParameters": bright, "NumberOfWindows": 1, "TargetedSystemDisplayMaximumLuminance": 0}
    scene |= {"SceneFrameIndex": 0, "SceneId": 0, "SequenceFrameIndex": 0}
    facts = tmp_path / "hdr.json"
    facts.write_text(
        json.dumps({"JSONInfo": {"HDR10plusProfile": "A", "Version": "1.0"}, "SceneInfo": [scene]})
    )
    clip = x265(tmp_path / "h.mkv", f"dhdr10-info={facts}")
    assert told(clip) == ["left out: HDR10+ dynamic metadata: it describes the pictures as they were"]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.webm", "libvpx-vp9"), ("b.webm", "libvpx"), ("c.mkv", "libvpx-vp9")]
)
def test_opacity_in_a_second_layer_is_named(tmp_path: Path, name: str, codec: str):
    clip = see_through(tmp_path / name, codec)
    assert [line for line in told(clip) if line.startswith("left out: opacity")]


def test_opacity_of_prores_is_named(tmp_path: Path):
    clip = tmp_path / "a.mov"
    run_ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=64x48:d=0.1:r=10",
        "-pix_fmt",
        "yuva444p10le",
        "-c:v",
        "prores_ks",
        clip,
    )
    assert any("opacity is left out" in line for line in told(clip))


def test_film_grain_is_said_to_be_in_the_pictures(make_clip: MakeClip):
    options = {"svtav1-params": "film-grain=20:film-grain-denoise=0", "preset": "10"}
    grainy = make_clip(codec="libsvtav1", size=(128, 128), num_frames=2, codec_options=options)
    assert "left out: film grain parameters: the grain itself is in the pictures" in told(grainy)
    assert not told(
        make_clip("p.mp4", codec="libsvtav1", size=(128, 128), num_frames=2, codec_options={"preset": "10"})
    )


def x265(path: Path, more: str = "") -> Path:
    coding = ("-c:v", "libx265", "-x265-params", f"log-level=error:{more}", "-pix_fmt", "yuv420p10le")
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.08:r=25", *coding, path)
    return path


def hevc(path: Path, profile: int, compatible: int) -> Path:
    return with_box(x265(path), dolby_vision(profile, compatible))


def test_dolby_vision_with_colours_of_its_own_is_refused(tmp_path: Path):
    copies = [hevc(tmp_path / "p5.mp4", 5, 0), hevc(tmp_path / "p5.mov", 5, 0), tmp_path / "p5.mkv"]
    run_ffmpeg("-i", copies[0], "-c", "copy", "-strict", "unofficial", copies[2])
    bicubic = ModelOptions(model=("bicubic",))
    for path in copies:
        assert probe(path).dolby_vision == "5"
        job = Job(path, tmp_path / "o.mkv", is_image=False)
        with pytest.raises(SourceError, match=r"Dolby Vision profile 5.*--force"):
            make_plan(job, EnhanceOptions(models=bicubic))
        plan = make_plan(job, EnhanceOptions(models=bicubic, read=ReadOptions(force=True)))
        assert any("colours come out wrong" in note for note in plan.notes)


def test_dolby_vision_over_an_ordinary_picture_is_named(tmp_path: Path):
    for profile, compatible, name in ((8, 1, "8.1"), (8, 4, "8.4"), (7, 6, "7.6")):
        clip = hevc(tmp_path / f"{name}.mp4", profile, compatible)
        info = probe(clip)
        assert info.dolby_vision == name
        assert "left out: Dolby Vision dynamic metadata: it describes the pictures as they were" in info.notes
        job = Job(clip, clip.with_suffix(".mkv"), is_image=False)
        make_plan(job, EnhanceOptions(models=ModelOptions(model=("bicubic",))))


@pytest.mark.parametrize(
    ("vdr_profile", "full", "profile"), [(0, 1, "5"), (0, 0, "unknown"), (1, 0, "unknown")]
)
def test_dolby_vision_profile_by_the_pictures_alone(vdr_profile: int, full: int, profile: str):
    header = bytes([2, 0, 0, 0, vdr_profile, 0, 0, 0, 23, 1, full])
    assert dolby_vision_of_metadata((24).to_bytes(8, "little") + bytes(16) + header) == profile
