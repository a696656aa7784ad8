"""Copied streams: times that stand still, what edit lists hide, packets that a muxer refuses."""

from fractions import Fraction

import av
import numpy as np
import pytest
from support.clips import run_ffmpeg
from support.edit_lists import put_edits
from support.encoding import write

from vsr.options import ReadOptions


def times(path, kind="audio", index=0):
    """Seconds of a stream's packets."""
    with av.open(str(path)) as opened:
        stream = [s for s in opened.streams if s.type == kind][index]
        return [p.pts * Fraction(stream.time_base) for p in opened.demux(stream) if p.size]


def num_samples(path, index=0):
    """Samples that a player hears."""
    with av.open(str(path)) as opened:
        return sum(frame.samples for frame in opened.decode(audio=index))


def sound(path, *coding, seconds=2, name="sine=f=440:r=48000"):
    run_ffmpeg("-f", "lavfi", "-i", f"{name}:d={seconds}", *coding, path)
    return path


@pytest.mark.parametrize(
    "coding",
    [("-c:a", "truehd", "-strict", "-2"), ("-c:a", "flac", "-frame_size", "16")],
    ids=["truehd", "flac"],
)  # fmt: skip
@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_packets_shorter_than_a_tick_keep_their_times(make_clip, tmp_path, coding, container):
    both = tmp_path / "both.mkv"
    track = sound(tmp_path / "sound.mkv", *coding)
    run_ffmpeg(
        "-i", make_clip("a.mp4", num_frames=50), "-i", track, "-map", "0", "-map", "1", "-c", "copy", both
    )
    before = times(both)
    assert len(set(before)) < len(before)  # that is the case here
    out = tmp_path / f"out.{container}"
    report = write(both, out)
    assert report.verification.differences == ()
    if not (report.converted or report.left_out):  # FFmpeg 5 does not decode this TrueHD, for mp4
        assert num_samples(out) == num_samples(both)
        after = times(out)
        assert after[-1] - before[-1] < Fraction(1, 1000)
        if container == "mkv":
            assert after == before


def lines(path, begins):
    """An ASS file, a line for each beginning in seconds."""
    head = "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: D,Arial,20\n\n"
    rows = [
        f"Dialogue: 0,0:00:{b:05.2f},0:00:{b + 0.5:05.2f},D,,0,0,0,,line {n}" for n, b in enumerate(begins)
    ]
    events = "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    path.write_text(head + events + "\n".join(rows) + "\n")
    return path


def test_lines_that_begin_together_still_do(make_clip, tmp_path):
    begins = [0.5] * 300 + [0.6]
    text, both = lines(tmp_path / "a.ass", begins), tmp_path / "both.mkv"
    run_ffmpeg(
        "-i", make_clip("a.mp4", num_frames=50), "-i", text, "-map", "0", "-map", "1", "-c", "copy", both
    )
    write(both, tmp_path / "out.mkv")
    assert times(tmp_path / "out.mkv", "subtitle") == [Fraction(str(begin)) for begin in begins]


def with_sound(make_clip, tmp_path):
    """Two seconds of pictures, and of a tone for each second."""
    clip, both = make_clip("a.mp4", num_frames=50, gop=10, codec_options={"bf": "0"}), tmp_path / "both.mp4"
    tone = "aevalsrc=sin(2*PI*t*if(lt(t\\,1)\\,500\\,2000)):s=48000:d=2"
    coded = ["-map", "0", "-map", "1", "-c:v", "copy", "-c:a", "aac"]
    run_ffmpeg("-i", clip, "-f", "lavfi", "-i", tone, *coded, both)
    return both


def loudness(path, frequency):
    """How much of a frequency, in Hz, is in a file's sound, from 0 to 1."""
    with av.open(str(path)) as opened:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in opened.decode(audio=0)])
    wave = np.exp(-2j * np.pi * frequency * np.arange(len(samples)) / 48000)
    return 2 * abs((samples * wave).mean())


@pytest.mark.parametrize("container", ["mkv", "mp4", "mov"])
def test_what_an_edit_list_hides_stays_out(make_clip, tmp_path, container):
    """One edit (trimmed on a phone), two with the middle cut out, and one that begins late."""
    cases = {
        "trim": ([(1.2, 0.8)], 500, 2000, 0.8),
        "end": ([(0, 0.6)], 2000, 500, 0.6),
        "two": ([(0, 0.4), (0.8, 0.2)], 2000, 500, 0.6),
        "late": ([(-1, 0.4), (1.2, 0.8)], 500, 2000, 0.8),
    }
    for name, (edits, hidden, shown, seconds) in cases.items():
        clip = put_edits(with_sound(make_clip, tmp_path), [edits, edits])
        out = tmp_path / f"{name}.{container}"
        report = write(clip, out)
        assert report.verification.differences == (), name
        assert report.num_frames == round(25 * seconds), name
        assert loudness(out, hidden) < 0.02, name
        assert loudness(out, shown) > 0.5, name
        more = num_samples(out) - num_samples(clip)
        assert more == 0 or (name == "late" and 0 < more < 1024 and container != "mkv"), name
        assert abs(num_samples(out) - 48000 * seconds) <= 2 * 1024, name
        with av.open(str(out)) as opened:
            stored = sum(packet.size > 0 for packet in opened.demux(opened.streams.audio[0]))
        assert (stored - 3) * 1024 <= 48000 * seconds, name


def test_a_part_of_a_cut_film_begins_where_it_should(make_clip, tmp_path):
    """The codec delay of a cut beginning must not be taken from a later one."""
    clip = put_edits(with_sound(make_clip, tmp_path), [[(0.5, 1.5)], [(0.5, 1.5)]])
    out = tmp_path / "out.mkv"
    report = write(clip, out, read=ReadOptions(start="0.6"), trim=True)
    assert report.verification.differences == ()
    first = times(out)[0]
    assert -Fraction(1024, 48000) <= first <= 0
    assert num_samples(out) >= 48000 * 0.88


def test_a_second_video_begins_after_a_cut_with_a_picture_that_needs_no_other(make_clip, tmp_path):
    first, both = make_clip("a.mp4", num_frames=50, gop=10, codec_options={"bf": "0"}), tmp_path / "both.mp4"
    run_ffmpeg("-i", first, "-map", "0", "-map", "0", "-c", "copy", both)
    put_edits(both, [[(0, 2)], [(0.48, 1.52)]])
    write(both, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as opened:
        packets = [p for p in opened.demux(opened.streams.video[1]) if p.size]
    assert packets[0].is_keyframe
    assert len(packets) == 30  # from picture 20 on, shown from the 12th on
    assert times(tmp_path / "out.mkv", "video", 1)[0] == Fraction(32, 100)


def add_dvd_subtitles(clip, path, shown):
    """Add a stream of pictures of text to a copy of a clip: packets of (seconds, ticks of a millisecond)."""
    with av.open(str(clip)) as old, av.open(str(path), "w") as new:
        stream = old.streams.video[0]
        video, text = new.add_stream_from_template(stream, opaque=True), new.add_stream("dvdsub")
        for begin, length in shown:
            packet = av.Packet(bytes(40))
            packet.pts = packet.dts = round(begin * 1000)
            packet.duration, packet.time_base, packet.stream = length, Fraction(1, 1000), text
            new.mux(packet)
        for packet in old.demux(stream):
            if packet.size:
                packet.stream = video
                new.mux(packet)
    return path


@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_subtitles_without_an_end_cost_a_line(make_clip, tmp_path, container):
    shown = [(0, 0xFFFFFFFF), (0.7, 300), (1.2, 0xFFFFFFFF)]
    both = add_dvd_subtitles(make_clip("a.mp4", num_frames=50), tmp_path / "both.mkv", shown)
    out = tmp_path / f"out.{container}"
    report = write(both, out)
    assert report.num_frames == 50
    if container == "mp4":
        assert times(out, "subtitle") == [Fraction(str(begin)) for begin, _ in shown]
        assert any("2 lines without an end" in note for note in report.notes)
