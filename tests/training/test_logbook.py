import json
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event, SessionLog

from vsr.errors import ConfigError
from vsr.resample import enlarge
from vsr.training.events import why_no_events
from vsr.training.logbook import Logbook, sample


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events(folder: Path) -> list[Event]:
    """Everything in a folder's event files, in the order in which it was written, each checksum looked at."""
    found: list[Event] = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        rest = path.read_bytes()
        while rest:
            head, (length, check) = rest[:8], struct.unpack("<QI", rest[:12])
            assert check == masked(head)
            content, end = rest[12 : 12 + length], 16 + length
            assert struct.unpack("<I", rest[12 + length : end]) == (masked(content),)
            found.append(Event.FromString(content))
            rest = rest[end:]
    return found


def steps(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_numbers_are_written_as_lines_and_for_tensorboard(tmp_path):
    with Logbook(tmp_path / "a.log", first=0) as book:
        book.write(500, {"charbonnier": 0.25, "learning_rate": 1e-3})
        book.write(1000, {"charbonnier": 0.125})
    lines = [json.loads(line) for line in (tmp_path / "a.log" / "log.jsonl").read_text().splitlines()]
    assert lines == [
        {"step": 500, "charbonnier": 0.25, "learning_rate": 1e-3},
        {"step": 1000, "charbonnier": 0.125},
    ]
    head, start, first, second = events(tmp_path / "a.log")
    assert head.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (1, SessionLog.START)
    assert first.step == 500
    assert {value.tag: value.simple_value for value in first.summary.value} == {
        "charbonnier": 0.25,
        "learning_rate": np.float32(1e-3),
    }
    assert [(second.step, v.tag, v.simple_value) for v in second.summary.value] == [
        (1000, "charbonnier", 0.125)
    ]
    assert 0 <= second.wall_time - first.wall_time < 60


def test_what_is_written_can_be_read_while_the_run_goes_on(tmp_path):
    with Logbook(tmp_path, first=0) as book:
        book.write(7, {"loss": 1.0})
        assert steps(tmp_path) == [7]
        assert events(tmp_path)[-1].step == 7


def test_a_picture_is_kept_as_a_file_and_for_tensorboard(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (40, 130, 3), np.uint8)
    with Logbook(tmp_path, first=0) as book:
        book.show(300, "bird", picture)
    kept = tmp_path / "samples" / "bird-0000300.png"
    assert np.array_equal(cv2.imread(str(kept)), picture)
    (value,) = events(tmp_path)[-1].summary.value
    image = value.image
    assert (value.tag, image.height, image.width, image.colorspace) == ("samples/bird", 40, 130, 3)
    assert image.encoded_image_string == kept.read_bytes()


def test_a_resumed_run_strikes_out_what_came_after_its_state(tmp_path):
    with Logbook(tmp_path, first=0) as book:
        for step in (100, 200, 300):
            book.write(step, {"loss": 1.0})
    with (tmp_path / "log.jsonl").open("a") as lines:
        lines.write('{"step": 40')  # killed while writing
    with Logbook(tmp_path, first=200) as book:
        book.write(300, {"loss": 0.5})
    assert steps(tmp_path) == [100, 200, 300]
    starts = [event.step for event in events(tmp_path) if event.HasField("session_log")]
    assert starts == [1, 201]


@pytest.mark.parametrize("name", ["log.jsonl", "samples"])
def test_what_a_link_leads_to_is_left_alone(tmp_path, name):
    book, theirs = tmp_path / "a.log", tmp_path / "theirs"
    book.mkdir()
    theirs.write_text("years of work\n")
    (book / name).symlink_to(theirs)
    with pytest.raises(ConfigError, match=f"{name} is a link"):
        Logbook(book, first=0)
    (book / name).unlink()
    with Logbook(book, first=0) as written:
        (book / "samples").mkdir()
        (book / "samples" / "a-0000001.png").symlink_to(theirs)
        written.show(1, "a", np.zeros((8, 8, 3), np.uint8))
    assert theirs.read_text() == "years of work\n"


@pytest.mark.parametrize("colors", [1, 3])
def test_a_sample_shows_the_enlarged_input_the_output_and_the_original(colors):
    generator = torch.Generator().manual_seed(0)
    low, output, target = (
        torch.rand(colors, *size, generator=generator) for size in [(20, 30), (40, 60), (40, 60)]
    )
    drawn = sample(low, output, target)
    assert drawn.shape == (40, 3 * 60 + 2 * 4, 3)
    for left, picture in ((0, enlarge(low[None], 2)[0].clamp(0, 1)), (64, output), (128, target)):
        part = drawn[:, left : left + 60, ::-1] if colors == 3 else drawn[:, left : left + 60, :1]
        assert np.abs(part / 255 - picture.permute(1, 2, 0).numpy()).max() < 0.003


def test_a_large_sample_shows_the_same_middle_of_all_three():
    ramp = torch.linspace(0, 1, 600).expand(1, 500, 600)
    drawn = sample(ramp, ramp, ramp)
    assert drawn.shape == (256, 3 * 256 + 8, 3)
    assert np.array_equal(drawn[:, :256], drawn[:, 520:])
    assert drawn[0, 128, 0] == pytest.approx(128, abs=1)


def test_a_file_in_the_place_of_the_book_is_named(tmp_path):
    (tmp_path / "x.log").write_text("somebody's own")
    with pytest.raises(ConfigError, match=r"x\.log is a file"):
        Logbook(tmp_path / "x.log", first=0)


def test_without_tensorboardx_lines_and_pictures_are_kept_and_a_line_says_how_to_get_events(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with Logbook(tmp_path, first=0) as book:
        book.write(7, {"loss": 1.0})
        book.show(7, "bird", np.zeros((4, 5, 3), np.uint8))
    assert steps(tmp_path) == [7]
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["bird-0000007.png"]
    assert not events(tmp_path)
    assert why_no_events() == (
        "TensorBoard's events are not written, for want of tensorboardX (pip install 'vsr[train]')"
    )
