"""Option files by name: each loads, runs on what it is for, and gives what an archivist expects of it."""

import tomllib
import zipfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from support.clips import numbered_frame, run_ffmpeg

from vsr.autocrop import Rectangle
from vsr.cli.main import run
from vsr.cli.presets import PRESETS, find_config
from vsr.errors import ConfigError
from vsr.jobs.inputs import Job
from vsr.jobs.plan import make_plan
from vsr.media.probe_video import probe
from vsr.options import EnhanceOptions, ModelOptions, PictureOptions, ReadOptions

QUICK = ["--threads", "1", "--quiet", "--also-preset", "ultrafast", "--model"]


def num_frames(path: Path) -> int:
    with av.open(str(path)) as opened:
        return sum(bool(packet.size) for packet in opened.demux(video=0))


@pytest.fixture
def tape(tmp_path):
    """Interlaced video of a size and rate, moving, with noise in its lowest lines, without any tag."""

    def make(name: str, size: str, rate: str, *options: str, num: int = 6) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        moving = f"testsrc2=s={size}:r={rate},geq=lum='if(gt(Y,H-6),random(1)*255,lum(X,Y))':cb='cb(X,Y)':cr='cr(X,Y)'"
        run_ffmpeg("-f", "lavfi", "-i", f"{moving},interlace=scan=tff", "-frames:v", str(num), *options, path)
        return path

    return make


def test_every_preset_is_a_complete_file_of_known_keys():
    known = tomllib.loads(Path("configs/enhance.toml").read_text())
    assert sorted(path.stem for path in Path("configs").glob("*.toml") if path.stem in PRESETS) == list(
        PRESETS
    )
    for name in PRESETS:
        keys = tomllib.loads(find_config(name).read_text())
        assert keys.keys() <= known.keys()
        assert {"deinterlace", "source", "scale", "encoder", "square", "bit_depth", "chroma"} <= keys.keys()


def test_an_unknown_name_gives_the_list(capsys):
    assert run(["enhance", "tape.avi", "--config", "vhs"]) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in PRESETS)
    with pytest.raises(ConfigError, match="'vhs' does not exist"):
        find_config("vhs")


def test_a_file_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dv").write_text("scale = 3")
    assert find_config("dv") == Path("dv")


@pytest.mark.parametrize(
    ("preset", "rate", "lines", "expected"),
    [("vhs-pal", "50", 12, (Fraction(50), 12)), ("vhs-ntsc", "60000/1001", 8, (Fraction(60000, 1001), 12))],
)
def test_vhs_becomes_progressive_square_and_without_its_lowest_lines(
    tape, tmp_path, preset, rate, lines, expected
):
    clip, master, view = (
        tape("tape.avi", "96x72", rate, "-c:v", "huffyuv"),
        tmp_path / "m.mkv",
        tmp_path / "m_view.mp4",
    )
    assert run(["enhance", str(clip), "-o", str(master), "--config", preset, *QUICK, "fast"]) == 0
    for path, pixels in ((master, "yuv422p10le"), (view, "yuv420p")):
        info = probe(path)
        assert (pytest.approx(float(expected[0]), rel=1e-4), expected[1]) == (
            float(info.average_rate),
            num_frames(path),
        )
        assert (info.format.height, info.format.width) == (2 * (72 - lines), 192)
        assert info.pixel_format == pixels
        assert (info.format.sample_aspect, info.format.matrix, info.interlaced) == (1, "smpte170m", False)


@pytest.mark.parametrize(
    ("size", "rate", "pixels", "given"),
    [("720x576", "50", "yuv420p", (1152, 1536)), ("720x480", "60000/1001", "yuv411p", (1080, 1440))],
)
def test_dv_keeps_its_moments_and_its_shape(tape, tmp_path, size, rate, pixels, given):
    clip = tape("tape.dv", size, rate, "-c:v", "dvvideo", "-pix_fmt", pixels, "-aspect", "4:3", num=1)
    master = tmp_path / "m.mkv"
    assert run(["enhance", str(clip), "-o", str(master), "--config", "dv", *QUICK, "nano"]) == 0
    info = probe(master)
    assert (info.format.height, info.format.width, info.format.sample_aspect) == (*given, 1)
    assert (num_frames(master), num_frames(tmp_path / "m_view.mp4")) == (2, 2)


def test_film_on_video_becomes_film_again_as_prores(make_clip, tmp_path):
    film = make_clip(
        "film.nut", num_frames=24, codec="ffv1", pixel_format="yuv422p", rate=Fraction(24000, 1001)
    )
    clip, master = tmp_path / "reel.avi", tmp_path / "reel_x2.mov"
    run_ffmpeg("-i", film, "-vf", "telecine", "-c:v", "ffv1", clip)
    assert (
        run(
            [
                "enhance",
                str(clip),
                "-o",
                str(master),
                "--config",
                "archive-film",
                "--segment",
                "0.4",
                *QUICK,
                "nano",
            ]
        )
        == 0
    )
    for path, codec in ((master, "prores"), (tmp_path / "reel_x2_view.mp4", "h264")):
        info = probe(path)
        assert (info.codec, info.average_rate, num_frames(path)) == (codec, Fraction(24000, 1001), 24)


def test_an_old_clip_is_enlarged_for_everywhere(make_clip, tmp_path):
    clip = make_clip("clip.flv", codec="flv1", num_frames=4, size=(48, 64))
    assert run(["enhance", str(clip), "--config", "old-web", *QUICK[:3], "--model", "fast"]) == 0
    info = probe(tmp_path / "clip_x4.mp4")
    assert (info.format.height, info.format.width, info.pixel_format) == (192, 256, "yuv420p")


def test_an_archive_takes_a_preset_too(tape, tmp_path):
    tape("tapes/a.avi", "96x72", "50", "-c:v", "huffyuv", num=2)
    words = [
        "batch",
        str(tmp_path / "tapes"),
        "-o",
        str(tmp_path / "out"),
        "--config",
        "vhs-pal",
        *QUICK,
        "fast",
    ]
    assert run(words) == 0
    assert {"a.mkv", "a_view.mp4"} <= {path.name for path in (tmp_path / "out").iterdir()}


def plan(clip: Path, **groups):
    return make_plan(Job(clip, clip.with_name("out.mkv"), is_image=False), EnhanceOptions(**groups))


def test_crops_add_up_and_borders_are_looked_for_in_what_is_left(tmp_path):
    clip = tmp_path / "bars.mkv"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 96, "yuv420p"
        for n in range(6):
            frame = numbered_frame((1 << 14) - 1 - n, (96, 96), "yuv420p")
            luma = np.frombuffer(frame.planes[0], np.uint8).reshape(96, -1)
            luma[:, :8] = (
                16  # black at the left, and noise in the lowest lines, which hides it from the search
            )
            luma[88:, :96] = np.random.default_rng(n).integers(16, 235, (8, 96))
            for plane in frame.planes[1:]:
                np.frombuffer(plane, np.uint8)[:] = 128
            frame.pts = n
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    models = ModelOptions(model=("nano",))
    assert plan(clip, models=models, picture=PictureOptions(autocrop=True)).crop is None
    both = PictureOptions(autocrop=True, crop_bottom=8, crop_top=2)
    assert plan(clip, models=models, picture=both).crop == Rectangle(2, 8, 86, 88)
    assert plan(clip, models=models, picture=PictureOptions(crop_left=4)).crop == Rectangle(0, 4, 96, 92)


@pytest.mark.parametrize(
    ("sides", "said"),
    [
        ({"crop_bottom": 7}, "multiples of 2"),
        ({"crop_top": 30, "crop_bottom": 30}, "leaves nothing of 64x48"),
    ],
)
def test_a_crop_that_cannot_be_is_refused(make_clip, sides, said):
    with pytest.raises(ConfigError, match=said):
        plan(make_clip(num_frames=2), picture=PictureOptions(**sides))


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ({}, (192, 256, 1)),
        ({"height": 144}, (144, 192, 1)),
        ({"size": "320x240"}, (240, 320, 1)),
        ({"size": "320x200"}, (200, 320, Fraction(5, 6))),
    ],
)
def test_square_pixels_take_nothing_away(make_clip, models, expected):
    clip, picture = make_clip(num_frames=2, size=(72, 128)), PictureOptions(display_aspect="4:3", square=True)
    output = plan(clip, picture=picture, models=ModelOptions(model=("nano",), **models)).output
    assert (output.height, output.width, output.sample_aspect) == expected


def test_the_shape_said_is_that_of_the_result(make_clip):
    clip = make_clip(num_frames=2, size=(72, 128))
    output = plan(
        clip, picture=PictureOptions(display_aspect="4:3"), models=ModelOptions(model=("nano",))
    ).output
    assert (output.height, output.width, output.sample_aspect) == (144, 256, Fraction(3, 4))


def test_what_is_done_with_fields_is_said_before(make_clip):
    clip = make_clip(num_frames=2)
    said = plan(clip, read=ReadOptions(deinterlace="fields")).notes
    assert "each field becomes a frame: 25 pictures a second, 50 frames" in said
    assert any(
        "24 pictures a second are no telecine's" in note
        for note in plan(
            make_clip("scan.mp4", num_frames=2, rate=Fraction(24)), read=ReadOptions(deinterlace="film")
        ).notes
    )


@pytest.mark.slow
def test_a_wheel_holds_the_presets(tmp_path):
    hatchling = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    (built,) = hatchling.WheelBuilder(str(Path(__file__).parents[2])).build(directory=str(tmp_path))
    names = zipfile.ZipFile(built).namelist()
    assert {f"vsr/configs/{name}.toml" for name in PRESETS} <= set(names)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'case = "Z\xfcrich"\n', "config 'c.toml' is not TOML: "),
        (b"quality = = 60\n", "config 'c.toml' is not TOML: Invalid value (at line 1"),
        (b"quality = 6" + b"0" * 400 + b"\n", "quality"),
        (b"\xef\xbb\xbfquality = 160\n", "quality 160"),  # as Windows' editors begin a file
    ],
)
def test_a_file_that_is_none_is_named_with_its_fault(content, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("c.toml").write_bytes(content)
    assert run(["enhance", "tape.avi", "--config", "c.toml"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert told in line
    assert "unexpected" not in line


def test_a_folder_is_no_file_of_options(tmp_path, capsys):
    assert run(["enhance", "tape.avi", "--config", str(tmp_path)]) == 2
    assert "is no file; a TOML file such as" in capsys.readouterr().err
