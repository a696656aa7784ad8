"""Pictures that move: every frame, each as long as it was, to every kind that moves and to video."""

import errno
import os
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from vsr.cli.main import run
from vsr.durable import work_folder
from vsr.errors import ConfigError, SourceError
from vsr.jobs import Job, make_plan
from vsr.jobs.enhance_file import carry_out
from vsr.media.images.metadata import TICK, Directories, portable
from vsr.media.images.probe_image import probe_image, read
from vsr.media.images.stream import ImageReport, ImageSink, ImageSource
from vsr.options import EnhanceOptions, ModelOptions
from vsr.pipeline import Clock

TIMES = [100, 40, 70, 200, 330]
"""Milliseconds."""
ENDINGS = [".gif", ".png", ".webp", ".avif"]


def drawn(number: int, mode: str = "RGBA") -> Image.Image:
    pixels = np.zeros((30, 40, 4), np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 3] = 60, 180, 255
    pixels[4 * number : 4 * number + 8, 10:20, 2] = 250
    if mode == "RGBA":
        pixels[:6, :6] = 0
    return Image.fromarray(pixels).convert(mode)


def write(path: Path, mode: str = "RGBA", **options: Any) -> Path:
    first, *others = [drawn(number, mode) for number in range(len(TIMES))]
    lossless = {".webp": {"lossless": True}, ".avif": {"quality": 100, "subsampling": "4:4:4"}}.get(
        path.suffix, {}
    )
    first.save(
        path, save_all=True, append_images=others, **{"duration": TIMES, "loop": 0, **lossless, **options}
    )
    return path


def convert(source: Path, target: Path, quality: int = 100) -> ImageReport:
    reader = ImageSource(source)
    with ImageSink(target, source=reader.info, quality=quality) as sink:
        for frame in reader.frames():
            sink.write(frame)
    return sink.report


def milliseconds(path: Path) -> list[float]:
    return [float(frame.duration * frame.time_base * 1000) for frame in ImageSource(path).frames()]


def test_every_frame_goes_to_every_kind_that_moves_with_its_time(tmp_path: Path):
    for before in ENDINGS:
        source = write(tmp_path / f"a{before}")
        info = probe_image(source)
        assert (info.num_frames, info.duration_s, info.format.alpha) == (5, pytest.approx(0.74), True)
        for after in ENDINGS:
            report = convert(source, tmp_path / f"b{after}")
            assert report.num_frames == 5
            assert milliseconds(tmp_path / f"b{after}") == TIMES, (before, after)
            for number, frame in enumerate(ImageSource(tmp_path / f"b{after}").frames()):
                got, wanted = (
                    np.stack(frame.planes, axis=2).astype(int),
                    np.asarray(drawn(number)).astype(int),
                )
                seen = wanted[..., 3] > 0
                assert np.abs(got - wanted)[seen].max() < 12, (before, after)
                assert np.abs(got - wanted)[..., 3].max() < 12


def test_how_often_it_is_played_goes_along(tmp_path: Path):
    for often in (0, 1, 4):
        source = write(tmp_path / "a.png", loop=often)
        for name in ("b.gif", "c.webp", "d.png", "e.gif"):
            convert(source, tmp_path / name)
            assert read(tmp_path / name)[1].plays == often, name
            source = tmp_path / name


def test_thirtieths_of_a_second_add_up(tmp_path: Path):
    write(tmp_path / "a.png", duration=1000 / 30)
    convert(tmp_path / "a.png", tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        times = [frame.pts * TICK for frame in ImageSource(tmp_path / name).frames()]
        assert times == pytest.approx([n / 30 for n in range(5)], abs=5e-5)
    convert(tmp_path / "a.png", tmp_path / "c.gif")
    assert sum(milliseconds(tmp_path / "c.gif")) == pytest.approx(5000 / 30, abs=10)


def test_a_frame_without_a_time_is_shown_as_browsers_show_it(tmp_path: Path):
    write(tmp_path / "a.gif", duration=[0, 10, 20, 50, 0])
    assert milliseconds(tmp_path / "a.gif") == [100, 100, 20, 50, 100]


def test_an_apngs_still_for_other_programs_is_no_frame(tmp_path: Path):
    write(tmp_path / "a.png", default_image=True, duration=TIMES[1:])
    assert milliseconds(tmp_path / "a.png") == TIMES[1:]
    frame = next(iter(ImageSource(tmp_path / "a.png").frames()))
    assert np.array_equal(np.stack(frame.planes, axis=2)[..., 2], np.asarray(drawn(1))[..., 2])


def test_profile_and_exif_stay_with_what_moves(tmp_path: Path):
    profile, exif = bytes(range(256)) * 3 + b"odd", Directories({271: "Maker"}, {}, {}).block()
    source = write(tmp_path / "a.png", icc_profile=profile, exif=exif)
    for name in ("b.png", "c.webp", "d.webp", "e.avif"):
        assert convert(source, tmp_path / name).notes == ()
        source = tmp_path / name
        metadata = read(source)[1].metadata
        assert (metadata.icc, portable(metadata.exif).first) == (profile, {271: "Maker"})
    assert "EXIF, colour profile left out, which GIF" in convert(source, tmp_path / "f.gif").notes[1]


def test_what_holds_one_picture_is_refused_before_anything_is_done(tmp_path: Path):
    source = write(tmp_path / "a.webp")
    with pytest.raises(ConfigError, match=r"holds one picture, and .*a.webp moves; name .*\.gif"):
        ImageSink(tmp_path / "b.jpg", source=probe_image(source))


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_cut_off_is_refused_or_said(tmp_path: Path, ending: str):
    data = write(tmp_path / f"a{ending}").read_bytes()
    path = tmp_path / f"b{ending}"
    for part in (0.4, 0.7, 0.95):
        path.write_bytes(data[: int(part * len(data))])
        try:
            source = ImageSource(path)
            list(source.frames())
        except SourceError as error:
            assert f"b{ending}" in str(error)  # noqa: PT017
        else:
            assert ending == ".gif"
            assert "frames may be missing" in source.info.notes[0]


def test_enhanced_into_its_own_kind_and_into_video(tmp_path: Path):
    options = EnhanceOptions(models=ModelOptions(model=("bicubic",)))
    for ending in ENDINGS:
        source = write(tmp_path / f"a{ending}")
        for target in (tmp_path / f"b{ending}", tmp_path / "c.mkv"):
            plan = make_plan(Job(source, target, is_image=True), options)
            assert (plan.num_frames, plan.is_long) == (5, False)
            carry_out(plan, overwrite=False, clock=Clock(), tell=print)
        assert milliseconds(tmp_path / f"b{ending}") == TIMES
        with av.open(str(tmp_path / "c.mkv")) as file:
            pictures = list(file.decode(video=0))
        assert [round(picture.time * 1000) for picture in pictures] == [0, 100, 140, 210, 410]
        assert pictures[0].to_ndarray(format="rgb24")[:8, :8].min() > 230  # clear is white
        (tmp_path / "c.mkv").unlink()


def test_the_last_frame_lasts_in_mp4_and_no_part_is_cut_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    source, target = write(tmp_path / "a.gif"), tmp_path / "b.mp4"
    words = ["enhance", str(source), "-o", str(target), "--model", "bicubic", "--quiet"]
    assert run(words) == 0
    with av.open(str(target)) as file:
        stream = file.streams.video[0]
        assert round(float(stream.duration * stream.time_base), 3) == sum(TIMES) / 1000
    assert run([*words, "--overwrite", "--start", "0.1"]) == 2
    assert "moves, and start, end and frames cut videos" in capfd.readouterr().err


@pytest.mark.parametrize("ending", [".gif", ".bmp"])
def test_a_disk_that_does_not_let_us_read_back_is_no_difference(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    source, target, real = write(tmp_path / "a.gif"), tmp_path / f"b{ending}", Path.read_bytes
    if ending == ".bmp":
        drawn(0, "RGB").save(source := tmp_path / "a.png")

    def fails(path: Path) -> bytes:
        if path.parent == work_folder(target):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", fails)
    assert run(["enhance", str(source), "-o", str(target), "--model", "bicubic", "--quiet"]) == 1
    assert f"{target} cannot be read back: Input/output error" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [source.name] or ending == ".bmp"
    assert not list(tmp_path.glob("*unverified*"))


def test_two_that_move_are_compared_in_one_picture_or_in_a_video(tmp_path: Path):
    a, b = write(tmp_path / "a.gif"), write(tmp_path / "b.webp")
    for name in ("c.png", "d.mkv"):
        assert run(["compare", str(a), str(b), "-o", str(tmp_path / name), "--quiet"]) == 0
    assert probe_image(tmp_path / "c.png").num_frames == 1
    with av.open(str(tmp_path / "d.mkv")) as file:
        assert len(list(file.decode(video=0))) == 5
