"""Videos and numbered pictures into numbered pictures: to the bit, with their numbers, and nobody's files harmed."""

import os
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms
from support.clips import ClipOptions, run_ffmpeg, write_clip
from support.long_jobs import stopped
from support.processes import forks

from vsr.cli.main import main, run
from vsr.durable import work_folder
from vsr.media.writing import numbered_output

AS_IT_IS = ["--scale", "1", "--source", "clean"]
"""No network: what comes out is what went in."""


def noise(number: int, shape: tuple[int, ...] = (48, 64, 3), depth: type = np.uint16) -> np.ndarray:
    return np.random.default_rng(number).integers(0, np.iinfo(depth).max, shape, depth, endpoint=True)


def write_noise(
    folder: Path, numbers: list[int], shape: tuple[int, ...] = (48, 64, 3), depth: type = np.uint16
) -> str:
    folder.mkdir()
    for number in numbers:
        assert cv2.imwrite(str(folder / f"{number:04}.png"), noise(number, shape, depth))
    return str(folder / "%04d.png")


def read(path: Path) -> np.ndarray:
    """A picture's samples as OpenCV has them; of what it does not read, as FFmpeg does."""
    if path.suffix not in (".exr", ".dpx"):
        return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    with av.open(str(path)) as opened:
        frame = next(opened.decode(video=0))
    if path.suffix == ".dpx":
        return frame.to_ndarray(format="rgb48le")[..., ::-1]
    planes = [
        np.frombuffer(frame.planes[at], "<f4").reshape(frame.height, -1)[:, : frame.width] for at in (1, 0, 2)
    ]
    light = np.stack(planes, axis=2).astype(float)  # linear, as OpenEXR means it
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 65535


def enhance(*words: str | Path) -> int:
    return run(["enhance", *map(str, words)])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("ending", ["png", "tif", "exr", "dpx"])
def test_sixteen_bits_go_through_to_the_bit_and_keep_their_numbers(tmp_path, ending):
    numbers = [98, 99, 100, 103]
    pattern = write_noise(tmp_path / "in", numbers)
    out = tmp_path / "out" / f"%03d.{ending}"
    assert enhance(pattern, "-o", out, *AS_IT_IS) == 0
    assert names(out.parent) == sorted(f"{number:03}.{ending}" for number in numbers)
    for number in numbers:
        assert np.abs(read(out.with_name(out.name % number)) - noise(number)).max() <= (
            1 if ending == "exr" else 0
        )
    assert enhance(out, "-o", tmp_path / "back" / "%d.png", *AS_IT_IS) == 0
    assert np.array_equal(read(tmp_path / "back" / "103.png"), noise(103))


def test_frames_of_a_folder_become_a_folder_of_frames_beside_it(tmp_path):
    for kind, shape, depth in (
        ("gray", (48, 64), np.uint8),
        ("alpha", (48, 64, 4), np.uint8),
        ("deep", (48, 64, 4), np.uint16),
    ):
        write_noise(tmp_path / kind, [1, 2], shape, depth)
        assert enhance(tmp_path / kind / "%04d.png", *AS_IT_IS) == 0
        assert names(tmp_path / f"{kind}_x1") == ["0001.png", "0002.png"]
        for number in (1, 2):
            assert np.array_equal(
                read(tmp_path / f"{kind}_x1" / f"{number:04}.png"), noise(number, shape, depth)
            )


def test_colour_profiles_go_along_and_what_a_kind_cannot_hold_is_said(tmp_path, capfd):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    (tmp_path / "in").mkdir()
    for number in (7, 8):
        picture = Image.fromarray(noise(number, depth=np.uint8))
        picture.save(tmp_path / "in" / f"{number}.png", icc_profile=profile, dpi=(300, 300))
    for ending in ("png", "tif", "jpg", "bmp"):
        out = tmp_path / "out" / f"%02d.{ending}"
        assert enhance(tmp_path / "in" / "%d.png", "-o", out, *AS_IT_IS) == 0
        assert ("colour profile left out, which BMP does not have" in capfd.readouterr().err) == (
            ending == "bmp"
        )
        with Image.open(out.with_name(f"08.{ending}")) as made:
            assert made.info.get("icc_profile") == (None if ending == "bmp" else profile)
            assert round(made.info["dpi"][0]) == 300
            off = np.abs(np.asarray(made).astype(int) - noise(8, depth=np.uint8))
            assert off.mean() < (20 if ending == "jpg" else 1e-9)


def test_a_video_becomes_rgb_of_sixteen_bits_by_its_own_matrix(tmp_path, capfd):
    clip, out = tmp_path / "in.mkv", tmp_path / "out" / "f%d.png"
    source = "testsrc2=s=64x48,format=yuv444p,setparams=colorspace=bt709:range=tv:color_primaries=bt709:color_trc=bt709"
    run_ffmpeg(
        "-f",
        "lavfi",
        "-i",
        source,
        "-f",
        "lavfi",
        "-i",
        "sine",
        "-t",
        "0.2",
        "-c:v",
        "ffv1",
        "-c:a",
        "flac",
        clip,
    )
    view = tmp_path / "view.mp4"
    assert enhance(clip, "-o", out, *AS_IT_IS, "--also", view) == 0
    assert "left out: audio 1 (flac" in capfd.readouterr().err
    assert names(out.parent) == sorted(f"f{number}.png" for number in range(1, 6))
    with av.open(str(clip)) as opened:
        for number, frame in enumerate(opened.decode(video=0), 1):
            y, u, v = (frame.to_ndarray().astype(float) - np.array([16, 128, 128])[:, None, None]) / np.array(
                [219, 224, 224]
            )[:, None, None]
            red, blue = y + 1.5748 * v, y + 1.8556 * u
            green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
            wanted = np.stack([blue, green, red], axis=2).clip(0, 1) * 65535
            assert np.abs(read(out.with_name(f"f{number}.png")) - wanted).max() <= 0.6
    with av.open(str(view)) as opened:
        assert opened.streams.video[0].codec_context.pix_fmt == "yuv444p"
        assert len(opened.streams.audio) == 1


def test_times_and_what_else_pictures_cannot_hold_is_said(tmp_path, capfd):
    clip = tmp_path / "in.mkv"
    write_clip(clip, ClipOptions(pts=[0, 1, 2, 7, 8], time_base=Fraction(1, 25), size=(48, 64)))
    out = tmp_path / "out" / "%02d.tif"
    assert enhance(clip, "-o", out, "--bit-depth", "8", *AS_IT_IS) == 0
    assert "left out: times: frames are shown for longer and shorter" in capfd.readouterr().err
    assert len(names(out.parent)) == 5
    assert read(out.with_name("01.tif")).dtype == np.uint8


def test_files_of_others_stay(tmp_path, capfd):
    pattern = write_noise(tmp_path / "in", [1, 2, 3])
    out = tmp_path / "out"
    out.mkdir()
    for name in ("0002.png", "0009.png", "notes.txt"):
        (out / name).write_text("precious")
    assert enhance(pattern, "-o", out / "%04d.png", *AS_IT_IS) == 1
    assert "0002.png exists; pass --overwrite" in capfd.readouterr().err
    assert names(out) == ["0002.png", "0009.png", "notes.txt"]
    assert enhance(pattern, "-o", out / "%04d.png", "--overwrite", *AS_IT_IS) == 0
    assert "1 pictures of other numbers lie in" in capfd.readouterr().err
    assert np.array_equal(read(out / "0002.png"), noise(2))
    assert [(out / name).read_text() for name in ("0009.png", "notes.txt")] == ["precious"] * 2
    assert enhance(pattern, "-o", pattern, "--overwrite", *AS_IT_IS) == 1
    assert "is an input itself" in capfd.readouterr().err
    assert enhance(pattern, "-o", tmp_path / "in" / "%05d.png", "--overwrite", *AS_IT_IS) == 0


@pytest.fixture
def long(tmp_path) -> tuple[str, Path]:
    """Forty pictures, and where they go."""
    return write_noise(tmp_path / "in", list(range(1, 41))), tmp_path / "out" / "%d.png"


FLAGS = ("--fps", "25", "--model", "bicubic")


def test_a_job_that_was_stopped_goes_on_and_makes_the_same(long, tmp_path):
    pattern, out = long
    assert stopped(Path(pattern), out, *FLAGS, "--segment", "0.4", segments=2).is_dir()
    assert names(out.parent) == [".%d.png.vsr"]
    assert (
        enhance(pattern, "-o", out, *FLAGS, "--segment", "0.4", "--preset", "ultrafast", "--threads", "1")
        == 0
    )
    assert names(out.parent) == sorted(f"{number}.png" for number in range(1, 41))
    whole = tmp_path / "whole" / "%d.png"
    assert enhance(pattern, "-o", whole, *FLAGS) == 0
    for number in range(1, 41):
        assert np.array_equal(read(out.with_name(f"{number}.png")), read(whole.with_name(f"{number}.png")))


def killed_while_named(words: list[str], after: int) -> None:
    give_name, given = numbered_output.give_name, []

    def give_some(*arguments, **more) -> None:
        if len(given) == after:
            os._exit(9)
        given.append(arguments)
        give_name(*arguments, **more)

    numbered_output.give_name = give_some
    main(words)


@pytest.mark.slow
def test_a_job_that_was_killed_while_pictures_got_their_names_knows_its_own(long, tmp_path, capfd):
    pattern, out = long
    words = ["enhance", pattern, "-o", str(out), *FLAGS, "--segment", "0.4"]
    process = forks.Process(target=killed_while_named, args=(words, 7))
    process.start()
    process.join()
    assert len(names(out.parent)) == 8
    (out.parent / "30.png").write_text("precious")
    assert run(words) == 1
    assert "exists; pass --overwrite" in capfd.readouterr().err
    assert (out.parent / "30.png").read_text() == "precious"
    (out.parent / "30.png").unlink()
    assert run(words) == 0
    assert names(out.parent) == sorted(f"{number}.png" for number in range(1, 41))
    assert not work_folder(out).exists()


def test_a_name_that_is_taken_meanwhile_stays_and_the_others_are_taken_back(tmp_path, capfd, monkeypatch):
    pattern, out = write_noise(tmp_path / "in", [1, 2, 3]), tmp_path / "out" / "%d.png"
    give_name = numbered_output.give_name

    def give_late(made: Path, target: Path, **more) -> None:
        if target.name == "3.png":
            target.write_text("precious")
        give_name(made, target, **more)

    monkeypatch.setattr(numbered_output, "give_name", give_late)
    assert enhance(pattern, "-o", out, *AS_IT_IS) == 1
    assert "3.png has come to exist meanwhile" in capfd.readouterr().err
    assert names(out.parent) == ["3.png"]
    assert (out.parent / "3.png").read_text() == "precious"
