"""A sink and its outputs, read back by real readers; each picture shows its number."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from support.clips import read_number
from support.live_rig import FORMAT, STEP, child_pids, frame

from vsr.errors import ConfigError, SinkError
from vsr.frames import PictureFormat
from vsr.live import child_pipes
from vsr.live.options import OutputOptions
from vsr.live.outputs import feeder, live_output, live_sink
from vsr.live.outputs.encoder import LiveEncode
from vsr.live.push.playlist import Playlist
from vsr.media import protocols
from vsr.media.ffmpeg import find_ffmpeg
from vsr.media.protocols import find_ffmpeg_with


def read(path) -> list[tuple[int, float]]:
    """Number and time of each picture."""
    with av.open(str(path)) as container:
        return [(read_number(f.to_ndarray()[: f.height]), f.time) for f in container.decode(video=0)]


def numbers(path) -> list[int]:
    return [number for number, _ in read(path)]


def num_breaks(playlist: Playlist) -> int:
    return playlist.num_breaks + sum(segment.breaks for segment in playlist.segments)


def recorded(folder: Path) -> list[int]:
    return [number for path in sorted(folder.glob("*.mkv")) for number in numbers(path)]


def num_on_disk(folder: Path) -> int:
    """Pictures that lie there by now, in files that are still written, too."""
    with contextlib.suppress(av.error.FFmpegError):
        return sum(len(numbers(path)) for path in folder.iterdir())
    return 0


def test_all_outputs_of_one_encode_show_the_frames_that_were_written(rig, tmp_path):
    seen = []
    live = rig("record", "hls", "snapshot", callback=lambda f: seen.append(read_number(f.planes[0]))).run()
    live.feed(80)
    live.sink.close()
    shown = recorded(tmp_path / "rec")
    assert shown == sorted(set(shown))
    assert shown[-1] == live.number - 1
    assert len(shown) > 60
    streamed = numbers(tmp_path / "hls" / "live.m3u8")
    assert streamed == shown[-len(streamed) :]
    assert "#EXT-X-ENDLIST" in (tmp_path / "hls" / "live.m3u8").read_text()
    assert seen[-1] == shown[-1]
    picture = cv2.imread(str(tmp_path / "snap" / "now.jpg"), cv2.IMREAD_GRAYSCALE)
    assert picture.shape == (96, 128)
    assert read_number(picture) in range(live.number)
    assert sorted(p.name for p in (tmp_path / "snap").iterdir()) == ["now.jpg"]


def test_the_first_frames_wait_for_the_encoder_to_start(rig, tmp_path):
    live = rig("record")
    for _ in range(6):
        live.sink.write(frame(live.number))
        live.number += 1
    live.wait_until(lambda: live.taken == live.number and live.state("record") == "running")
    assert live.sink.status.dropped == 0
    live.sink.close()
    assert recorded(tmp_path / "rec") == list(range(live.number))


def test_times_are_those_of_the_frames_at_a_variable_rate(rig, tmp_path):
    live = rig("record").run()
    first = live.number
    for number in range(first, first + 40):
        live.sink.write(frame(number, pts=10**9 + first * STEP + (number - first) ** 2 * 400 + 1))
        time.sleep(0.02)
    live.sink.close()
    shown = [pair for path in (tmp_path / "rec").glob("*.mkv") for pair in read(path) if pair[0] >= first]
    assert len(shown) > 30
    for number, time_s in shown:
        ticks = (number - first) ** 2 * 400 - (shown[0][0] - first) ** 2 * 400
        assert time_s - shown[0][1] == pytest.approx(ticks / 90_000, abs=0.002)


def test_an_output_that_is_killed_is_started_again_and_the_others_go_on(rig, tmp_path):
    live = rig("record", "hls").run()
    record, hls = live.output("record"), live.output("hls")
    pid, encoder = hls.pid, live.sink.encoder_pid
    os.kill(record.pid, signal.SIGKILL)
    live.feed_until(lambda: record.status.restarts == 1 and record.status.state == "running")
    live.feed(60)
    assert (hls.pid, live.sink.encoder_pid, hls.status.restarts) == (pid, encoder, 0)
    live.sink.close()
    assert not list((tmp_path / "rec").glob("*.part"))
    shown = recorded(tmp_path / "rec")
    assert shown == sorted(set(shown))
    assert shown[-1] == live.number - 1
    streamed = numbers(tmp_path / "hls" / "live.m3u8")
    assert streamed == list(range(streamed[0], live.number))


def test_an_output_that_is_frozen_is_killed_and_started_again(rig, tmp_path):
    live = rig("hls", "record").run()
    hls, record = live.output("hls"), live.output("record")
    playlist = tmp_path / "hls" / "live.m3u8"
    live.feed_until(playlist.exists)  # else there is nothing to go on after
    os.kill(hls.pid, signal.SIGSTOP)
    hls.silence_s = 0.5  # of this one alone: a busy machine may make the other wait as long
    live.feed_until(lambda: hls.status.restarts >= 1)
    hls.silence_s = feeder.SILENCE_S
    live.feed_until(lambda: num_breaks(Playlist.from_text(playlist.read_text())) >= 1)
    live.feed(30)
    assert record.status.restarts == 0
    live.sink.close()
    shown = recorded(tmp_path / "rec")
    assert shown == sorted(set(shown))
    assert len(shown) == live.sink.status.written  # all but what the encoder was too slow for
    assert shown[-1] == live.number - 1


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_an_encoder_that_dies_or_freezes_is_started_again_and_writing_never_waits(
    rig, tmp_path, monkeypatch, fault
):
    monkeypatch.setattr(live_sink, "_STUCK_S", 0.5)
    monkeypatch.setattr(live_sink, "_PAUSE_S", 0.1)
    live = rig("record").run()
    pid, child = live.output("record").pid, live.sink.encoder_pid
    os.kill(child, fault)
    large = PictureFormat(96, 128)
    live.feed_until(lambda: live.sink.encoder_pid not in (child, None), 30.0)
    live.feed(40, large)
    assert live.sink.status.encoder_restarts == 1
    assert live.output("record").pid == pid
    live.sink.close()
    shown = recorded(tmp_path / "rec")
    assert shown == sorted(set(shown))
    assert shown[-1] == live.number - 1


def test_an_encoder_that_takes_long_to_start_is_not_killed_for_it(rig, tmp_path, monkeypatch):
    slow, may_start = tmp_path / "ffmpeg", tmp_path / "may_start"
    wait = f"case $* in *pipe:0*) for _ in $(seq 900); do [ -e {may_start} ] || sleep 0.1; done;; esac"
    slow.write_text(f'#!/bin/sh\n{wait}\nexec {find_ffmpeg()} "$@"\n')
    slow.chmod(0o700)
    monkeypatch.setenv("VSR_FFMPEG", str(slow))
    with monkeypatch.context() as impatient:
        impatient.setattr(live_sink, "_STUCK_S", 0.1)
        live = rig("record", encode=LiveEncode("x264"))
        live.feed_until(lambda: live.sink.encoder_pid is not None)
        encoder = live.sink._encoder
        live.feed_until(lambda: encoder.busy_since_s and time.monotonic() - encoder.busy_since_s > 0.3)
        live.feed(3)
        assert live.sink.status.encoder_restarts == 0
        assert live.sink.encoder_pid == encoder.pid
    may_start.touch()
    live.run()
    live.sink.close()
    assert recorded(tmp_path / "rec")


def test_while_the_camera_is_away_the_last_picture_goes_on_dimmed_and_labelled(rig, tmp_path):
    live = rig("record", "snapshot").run()
    last = live.number - 1
    for step in range(30):
        live.sink.away(12.0 + step * 0.02)
        time.sleep(0.02)
    live.sink.write(frame(last + 1, pts=10**9 + last * STEP + 1))  # its clock has not moved meanwhile
    time.sleep(0.1)
    live.sink.close()
    [path] = (tmp_path / "rec").glob("*.mkv")
    with av.open(str(path)) as container:
        pictures = list(container.decode(video=0))
    lumas = [f.to_ndarray()[:96] for f in pictures]
    assert {f.shape for f in lumas} == {(96, 128)}
    away = [f for f in lumas if f[40:].max() < 150]
    assert len(away) > 15
    assert read_number(lumas[-1]) == last + 1
    whole = lumas[len(lumas) - len(away) - 2]
    # A quarter of the picture is the last row of cells: nothing of the label is there.
    rows = slice(74, 94)
    assert np.abs(away[5][rows].astype(float) - (16 + (whole[rows].astype(float) - 16) * 0.4)).mean() < 4
    assert away[5][:10, :60].max() > 180
    times = [f.time for f in pictures]
    assert times == sorted(set(times))


def test_before_the_first_frame_there_is_black_of_the_configured_size_or_nothing(rig, tmp_path):
    live = rig("record", format=FORMAT)
    for _ in range(60):
        live.sink.away(1.0)
        time.sleep(0.02)
    live.sink.close()
    [path] = (tmp_path / "rec").glob("*.mkv")
    with av.open(str(path)) as container:
        luma = next(container.decode(video=0)).to_ndarray()[:96]
    assert luma[40:].max() < 20
    silent = rig("record")
    silent.sink.away(1.0)
    silent.sink.close()
    assert silent.sink.status.written == 0


def test_a_new_size_begins_a_new_encode_and_each_file_holds_one_size(rig, tmp_path):
    live = rig("record", "hls").run()
    live.feed(30)
    large = PictureFormat(192, 256)
    live.feed(60, large)
    live.feed_until(lambda: live.state("hls") == "running", format=large)
    live.sink.close()
    sizes = []
    for path in sorted((tmp_path / "rec").glob("*.mkv")):
        with av.open(str(path)) as container:
            sizes.append({(f.height, f.width) for f in container.decode(video=0)})
    assert sizes == [{(96, 128)}, {(192, 256)}]
    shown = recorded(tmp_path / "rec")
    assert shown == sorted(set(shown))
    assert shown[-1] == live.number - 1
    playlist = Playlist.from_text((tmp_path / "hls" / "live.m3u8").read_text())
    assert num_breaks(playlist) == 1
    with av.open(str(tmp_path / "hls" / "live.m3u8")) as container:
        heights = [f.height for f in container.decode(video=0)]
    assert (heights[-1], {*heights} - {96}, heights) == (192, {192}, sorted(heights))
    assert all(one.restarts == 0 for one in live.sink.status.outputs)


def test_a_recording_without_room_pauses_with_a_line_and_nothing_else_is_disturbed(rig, tmp_path):
    full = OutputOptions("record", str(tmp_path / "rec"), min_free_gb=1e6)
    live = rig(full, "hls").run()
    live.feed(30)
    [status] = [one for one in live.sink.status.outputs if one.kind == "record"]
    assert status.state == "paused"
    assert "GB free" in status.note
    live.sink.close()
    assert not list((tmp_path / "rec").iterdir())
    assert numbers(tmp_path / "hls" / "live.m3u8")[-1] == live.number - 1


def test_credentials_show_in_no_process_list_status_or_exception(rig, monkeypatch):
    monkeypatch.setenv("PUSH_LOGIN", "keeper:s3cr3t-in-env")
    closed = OutputOptions("rtsp", "rtsp://admin:s3cr3t-in-url@127.0.0.1:9/live")
    other = OutputOptions("rtmp", "rtmp://127.0.0.1:9/app/s3cr3t-key", credentials_env="PUSH_LOGIN")
    live = rig(closed, other)
    texts = []

    def spy():
        for pid in child_pids():
            for name in ("cmdline", "environ"):
                try:
                    texts.append(Path(f"/proc/{pid}/{name}").read_bytes().decode("utf-8", "replace"))
                except OSError:
                    continue
        return all(one.restarts >= 2 for one in live.sink.status.outputs)

    live.feed_until(spy)
    texts.append(repr(live.sink.status))
    texts += [repr(one.options) for one in live.sink._outputs]
    assert any("vsr.live.push" in text for text in texts)
    assert "refused" in repr(live.sink.status)
    assert not [text for text in texts if "s3cr3t" in text]


def test_srt_with_a_passphrase_is_refused_where_a_process_list_would_show_it(rig, monkeypatch):
    monkeypatch.setattr(protocols, "_takes_hidden_options", lambda binary: False)
    with pytest.raises(ConfigError, match="process list") as caught:
        rig(OutputOptions("srt", "srt://127.0.0.1:9?passphrase=s3cr3t-word"))
    assert "s3cr3t" not in str(caught.value)


def test_srt_is_sent_with_a_passphrase_that_no_process_list_shows(rig, tmp_path):
    try:
        program = find_ffmpeg_with("srt", hides=True)
    except SinkError as error:
        pytest.skip(str(error))
    port, got, shown = free_port(), tmp_path / "got.ts", set()
    listen = f"srt://127.0.0.1:{port}?mode=listener&passphrase=s3cr3t=word"  # nobody without it is let in
    receiver = subprocess.Popen(
        [program, "-v", "quiet", "-y", "-i", listen, "-c", "copy", "-flush_packets", "1", got]
    )
    live = rig(OutputOptions("srt", f"srt://127.0.0.1:{port}?passphrase=s3cr3t=word&latency=20000"))

    def received() -> bool:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                shown.add(path.read_bytes())
        return got.exists() and got.stat().st_size > 20_000

    try:
        live.feed_until(received)
    finally:
        receiver.kill()
        receiver.wait()
    assert len(numbers(got)) > 5
    shown -= {one for one in shown if listen.encode() in one}
    assert any(b"/dev/fd/" in words and f"{port}?latency=20000".encode() in words for words in shown)
    assert not [words for words in shown if b"s3cr3t" in words]
    assert "s3cr3t" not in repr(live.sink.status)


def test_sound_and_the_untouched_original_are_recorded_beside_the_enhanced_pictures(rig, make_clip, tmp_path):
    source = make_clip("camera.mkv", num_frames=100, audio=True, gop=10)
    live = rig("record", record_original=True)
    with av.open(str(source)) as camera:
        for packet in camera.demux():
            live.sink.packet(packet, 0, camera.streams)
            if packet.stream.type == "video" and packet.dts is not None:
                live.sink.write(frame(live.number, pts=live.number * STEP))
                live.number += 1
                time.sleep(0.02)
    live.sink.close()
    files = sorted((tmp_path / "rec").glob("*.mkv"))
    originals = [path for path in files if "-original" in path.name]
    assert [n for path in originals for n in numbers(path)] == list(range(100))
    for path in files:
        with av.open(str(path)) as container:
            assert [stream.type for stream in container.streams] == ["video", "audio"]
            assert sum(1 for _ in container.decode(audio=0)) > 20


def test_a_callback_that_raises_is_told_and_the_stream_goes_on(rig, tmp_path):
    def broken(_):
        raise ValueError("no such http://al:pw@host")

    live = rig("record", callback=broken)
    live.feed_until(lambda: live.state("record") == "running")
    status = live.sink.status.outputs[-1]
    assert status.restarts > 1
    assert status.note == "ValueError: no such http://***@host"


@pytest.mark.parametrize("wakes", [True, False])
def test_close_takes_four_seconds_at_most_with_everything_frozen_and_files_are_finished(
    rig, tmp_path, monkeypatch, wakes
):
    live = rig("record", "hls").run()
    live.feed(20)
    live.feed_until(lambda: num_on_disk(tmp_path / "rec") > 10)
    pids = [live.sink.encoder_pid, *(live.output(kind).pid for kind in ("record", "hls"))]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    live.feed(20)
    if not wakes:  # as if they hung on a disk or in a driver
        monkeypatch.setattr(child_pipes.PipedChild, "wake", lambda piped: None)
    began = time.monotonic()
    live.sink.close()
    took_s = time.monotonic() - began
    assert took_s < 15  # four seconds, on a machine that stands still for many more
    live.sink.close()
    assert {one.state for one in live.sink.status.outputs} == {"closed"}
    assert not list((tmp_path / "rec").glob("*.part"))
    shown = recorded(tmp_path / "rec")
    assert shown == sorted(set(shown))
    assert shown[-1] == live.number - 1 if wakes else len(shown) > 10


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.parametrize(
    ("kind", "url", "listen"),
    [
        ("rtmp", "rtmp://127.0.0.1:{}/app/key", ["-listen", "1"]),
        ("srt", "srt://127.0.0.1:{}", ["-mode", "listener"]),
        ("udp", "udp://127.0.0.1:{}", ["-timeout", "1000000"]),
    ],
)
def test_receivers_of_every_protocol_see_the_frames(rig, tmp_path, kind, url, listen):
    program = find_ffmpeg()
    protocols = subprocess.run(
        [program, "-hide_banner", "-protocols"], capture_output=True, text=True, check=True
    )
    if kind not in protocols.stdout.split():
        pytest.skip(f"this FFmpeg has no {kind}")
    url, target = url.format(free_port()), tmp_path / "got.mkv"
    live = rig(OutputOptions(kind, url))
    live.noise = 20  # a thousand bytes and more a frame: receivers write what fills their buffers
    command = [
        program,
        "-v",
        "error",
        "-nostdin",
        *listen,
        "-i",
        url,
        "-c",
        "copy",
        "-flush_packets",
        "1",
        target,
    ]
    receiver = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        live.feed_until(lambda: target.exists() and target.stat().st_size > 80_000)
        [before] = live.sink.status.outputs
        live.sink.close()
        receiver.wait(10)  # it is told that this was the end, and finishes its file
        [after] = live.sink.status.outputs
        assert (after.state, after.note) == ("closed", before.note), "its sender had to be killed"
    finally:
        receiver.kill()
        receiver.wait()
    shown = numbers(target)
    assert len(shown) > 20
    assert shown[-20:] == list(range(shown[-20], shown[-20] + 20))
    assert all(one.restarts < 20 for one in live.sink.status.outputs)


def test_an_output_that_gets_nothing_while_frames_come_is_starved_and_says_so(rig, tmp_path, monkeypatch):
    monkeypatch.setattr(live_output, "_PROMISED_S", 0.5)
    live = rig("record", record_original=True)  # and no packet of the camera's comes
    live.feed_until(lambda: [one.state for one in live.sink.status.outputs] == ["running", "starved"])
    original = live.sink.status.outputs[1]
    assert "nothing of it comes" in original.note


def test_raw_pictures_of_a_camera_are_said_once_to_be_left_out(rig, tmp_path, caplog):
    caplog.set_level("WARNING", "vsr.live")
    path = tmp_path / "raw.nut"
    with av.open(str(path), "w") as written:
        stream = written.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuyv422"
        picture = av.VideoFrame(64, 48, "yuyv422")
        for number in range(20):
            picture.pts = number
            written.mux(stream.encode(picture))
    live = rig("record", record_original=True)
    with av.open(str(path)) as camera:
        for packet in camera.demux():
            live.sink.packet(packet, 0, camera.streams)
    assert [record.message for record in caplog.records] == [
        "video rawvideo cannot be passed on and is left out"
    ]
    live.sink.close()
    assert live.sink.status.outputs[1].restarts == 0
