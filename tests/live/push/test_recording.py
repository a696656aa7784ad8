"""Recording in this process: what is deleted, when it pauses, and what a power loss leaves."""

import os
import time

import av
import pytest
from support.clips import read_number

from vsr.live.options import OutputOptions
from vsr.live.packets import describe_stream, packet_message
from vsr.live.push import recording
from vsr.live.push.order import PushOrder
from vsr.live.push.recording import Recording


def messages(path):
    """The description of a clip's video, then its packets."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return describe_stream(stream), [
            m for packet in container.demux(stream) if (m := packet_message(packet))
        ]


def numbers(path):
    with av.open(str(path)) as container:
        return [read_number(frame.to_ndarray()[: frame.height]) for frame in container.decode(video=0)]


@pytest.fixture
def clip(make_clip):
    return messages(make_clip("clip.mkv", num_frames=20, gop=5, codec_options={"bf": "0"}))


@pytest.fixture
def record(tmp_path, clip):
    """Makes recordings into one folder; what they say is in `record.said`."""

    def make(stream=clip[0], **options):
        options = {"segment_s": 3600, "min_free_gb": 0.0, **options}
        order = PushOrder(OutputOptions("record", str(tmp_path / "out"), **options), "door")
        return Recording(order, [stream], say=make.said.append)

    make.said = []
    return make


def test_a_segment_ends_at_the_first_keyframe_of_the_next_slot(record, clip, tmp_path, monkeypatch):
    clock = [1_700_000_000.0]
    monkeypatch.setattr(recording.time, "time", lambda: clock[0])
    made = record(segment_s=10)
    for message in clip[1]:
        made.mux(message)
        clock[0] += 1.9
    assert sorted(p.suffix for p in (tmp_path / "out").iterdir()) == [".mkv", ".mkv", ".part"]
    made.close()
    files = sorted((tmp_path / "out").iterdir())
    shown = [numbers(path) for path in files]
    assert [n for part in shown for n in part] == list(range(20))
    assert all(part[0] % 5 == 0 for part in shown)
    assert len(files) == 3


def test_times_that_begin_again_begin_a_segment(record, make_clip, tmp_path):
    stream, packets = messages(make_clip(num_frames=20, gop=20, codec_options={"bf": "2"}))
    made = record(stream)
    for message in packets * 2:  # the camera's clock starts again
        made.mux(message)
    made.close()
    assert [numbers(path) for path in sorted((tmp_path / "out").iterdir())] == [list(range(20))] * 2


def test_a_file_left_by_a_process_that_was_killed_is_kept_and_plays(record, make_clip, tmp_path):
    made = record()
    for message in messages(make_clip(num_frames=60, gop=5, codec_options={"bf": "0"}))[1]:
        made.mux(message)
    left = next((tmp_path / "out").iterdir())
    assert left.name.endswith(".mkv.part")
    data = left.read_bytes()
    made.close()
    for path in (tmp_path / "out").iterdir():
        path.unlink()
    left.write_bytes(data)
    record().close()
    [found] = (tmp_path / "out").iterdir()
    assert found.suffix == ".mkv"
    assert numbers(found)[:30] == list(range(30))


def test_recording_pauses_while_the_disk_is_full_and_goes_on_with_a_keyframe(
    record, clip, tmp_path, monkeypatch
):
    monkeypatch.setattr(recording, "_LOOK_S", 0.0)
    free = [10**9]
    monkeypatch.setattr(Recording, "_free", lambda self: free[0])
    made = record(min_free_gb=1e-3)
    for index, message in enumerate(clip[1]):
        free[0] = 10**3 if 3 <= index < 8 else 10**9
        made.mux(message)
    made.close()
    assert [line.split(":")[0] for line in record.said] == ["paused", "recording goes on"]
    assert "GB free" in record.said[0]
    assert [numbers(path) for path in sorted((tmp_path / "out").iterdir())] == [
        [0, 1, 2],
        list(range(10, 20)),
    ]


def test_a_folder_that_cannot_be_written_to_pauses_and_is_taken_up_again(record, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "_LOOK_S", 0.0)
    folder = tmp_path / "out"
    made = record()
    folder.rmdir()
    folder.write_text("in the way")
    for index, message in enumerate(clip[1]):
        if index == 8:
            folder.unlink()
        made.mux(message)
    made.close()
    assert [line.split(":")[0] for line in record.said] == ["paused", "recording goes on"]
    assert "cannot be written to" in record.said[0]
    assert [numbers(path) for path in folder.iterdir()] == [list(range(10, 20))]


def test_old_and_excess_recordings_are_deleted_and_nothing_else(record, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    names = [f"door-20250131-00000{n}.mkv" for n in range(5)]
    others = ["door-20250131-000000-original.mkv", "gate-20250131-000000.mkv", "door-notes.mkv"]
    for name in names + others:
        (folder / name).write_bytes(b"x" * 1000)
    os.utime(folder / names[0], (time.time() - 7200,) * 2)
    os.utime(folder / others[0], (time.time() - 7200,) * 2)
    record(keep_hours=1, keep_gb=2.5e-6).close()
    assert sorted(p.name for p in folder.iterdir()) == sorted(names[3:] + others)
