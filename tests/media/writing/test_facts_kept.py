"""Telemetry, time code, what cameras write of themselves: kept where the container can, else named."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest
from support.beside import see_through
from support.clips import run_ffmpeg
from support.encoding import write

from vsr.media.probe_video import probe
from vsr.media.timecode import later_timecode, timecode_in
from vsr.media.track_tags import DATA_TRACKS
from vsr.media.writing.output import WriteReport
from vsr.options import EncodeOptions, ReadOptions

MakeClip = Callable[..., Path]


def metadata(path: Path) -> dict[str, str]:
    with av.open(str(path)) as opened:
        return {key.lower(): value for key, value in opened.metadata.items()}


def left_out(report: WriteReport) -> list[str]:
    assert [note.removeprefix("left out: ") for note in report.notes if note.startswith("left out")] == [
        *report.left_out
    ], "everything that is left out is said"
    return list(report.left_out)


def with_telemetry(clip: Path, target: Path, tag: bytes = b"gpmd", maker: str = "GoPro MET") -> Path:
    """Copy a clip with a track of data, half a second a packet."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as out:
        video = out.add_stream_from_template(source.streams.video[0], opaque=True)
        data = out.add_data_stream("bin_data")
        data.time_base, data.metadata["handler_name"] = Fraction(1, 1000), maker
        out.start_encoding()
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = video
                out.mux(packet)
        for number in range(2):
            packet = av.Packet(b"DEVC" + bytes([number]) * 12)
            packet.stream, packet.time_base = data, Fraction(1, 1000)
            packet.pts = packet.dts = 500 * number
            packet.duration = 500
            out.mux(packet)
    target.write_bytes(target.read_bytes().replace(b"gpmd", tag))
    return target


def telemetry(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as opened:
        tracks = [stream for stream in opened.streams if stream.metadata.get("handler_name") == "GoPro MET"]
        return [
            (packet.pts * packet.time_base, bytes(packet)) for packet in opened.demux(*tracks) if packet.size
        ]


def test_telemetry_is_copied_where_the_container_takes_it(make_clip: MakeClip, tmp_path: Path):
    clip = with_telemetry(make_clip(num_frames=25), tmp_path / "gopro.mp4")
    for target in (tmp_path / "o.mp4", tmp_path / "o.mov"):
        assert not left_out(write(clip, target))
        assert telemetry(target) == telemetry(clip) != []
    (line,) = left_out(write(clip, tmp_path / "o.mkv"))
    assert line == "data 1 (bin_data, GoPro's telemetry, GoPro MET, und): mkv cannot hold it"


@pytest.mark.parametrize(
    ("tag", "maker"),
    [(b"rtmd", "Timed Metadata Media Handler"), (b"mebx", "Core Media Metadata"), (b"camm", "CameraMeta")],
)
def test_telemetry_that_nothing_writes_is_named(make_clip: MakeClip, tmp_path: Path, tag: bytes, maker: str):
    clip = with_telemetry(make_clip(num_frames=25), tmp_path / "c.mp4", tag, maker)
    (line,) = left_out(write(clip, tmp_path / "o.mp4"))
    assert line == f"data 1 ({tag.decode()}, {DATA_TRACKS[tag.decode()]}, {maker}, und): mp4 cannot hold it"
    assert [(other.kind, other.codec) for other in probe(clip).others] == [("data", tag.decode())]
    assert left_out(write(clip, tmp_path / "o.mov")) == [line.replace("mp4", "mov")]


def test_chapter_text_is_no_telemetry(make_clip: MakeClip, tmp_path: Path):
    assert not left_out(write(make_clip(chapters=True), tmp_path / "o.mkv"))


PHONES = {
    "iphone": {
        "com.apple.quicktime.make": "Apple",
        "com.apple.quicktime.model": "iPhone 13",
        "com.apple.quicktime.creationdate": "2022-11-09T20:36:38+0300",
        "com.apple.quicktime.location.ISO6709": "+27.5916+086.5640+8850/",
        "title": "a title",
    },
    "android": {
        "com.android.version": "12",
        "com.android.capture.fps": "25",
        "location": "+40.7127-074.0059/",
    },
    "samsung": {"com.samsung.android.utc_offset": "+0900"},
}


@pytest.mark.parametrize("phone", PHONES)
def test_what_cameras_write_of_themselves_is_kept(make_clip: MakeClip, tmp_path: Path, phone: str):
    keys = {key.lower(): value for key, value in PHONES[phone].items()}
    options = {"movflags": "use_metadata_tags"}
    clip = make_clip("a.mov", metadata=PHONES[phone], container_options=options, num_frames=3)
    assert keys.items() <= metadata(clip).items()
    for ending in ("mp4", "mov", "mkv", "webm") if phone == "iphone" else ("mp4",):
        target = tmp_path / f"o.{ending}"
        encoder = "vp9" if ending == "webm" else "x264"
        report = write(clip, target, options=EncodeOptions(encoder=encoder))
        assert not left_out(report)
        assert keys.items() <= metadata(target).items()


def test_metadata_that_a_container_does_not_take_is_named(make_clip: MakeClip, tmp_path: Path):
    mkv = make_clip("a.mkv", metadata={"title": "kept", "reel": "7", "scanned_by": "me"}, num_frames=3)
    assert left_out(write(mkv, tmp_path / "o.mp4")) == [
        "metadata reel, scanned_by of the file: mp4 has no place for it"
    ]
    assert not left_out(write(mkv, tmp_path / "o.mkv"))
    named = tmp_path / "named.mkv"
    run_ffmpeg(
        "-i",
        mkv,
        "-map_metadata",
        "-1",
        "-metadata:s:v",
        "lens=50",
        "-metadata:s:v",
        "title=b",
        "-c",
        "copy",
        named,
    )
    assert left_out(write(named, tmp_path / "n.mov")) == [
        "metadata lens of the video: mov has no place for it"
    ]
    again = write(tmp_path / "n.mov", tmp_path / "again.mp4")
    assert not left_out(again)
    with av.open(str(again.path)) as opened:
        assert opened.streams.video[0].metadata["name"] == "b"


def first_timecode(path: Path) -> str:
    return probe(path).timecode


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_time_code_is_kept_and_moves_with_the_start(make_clip: MakeClip, tmp_path: Path, ending: str):
    clip = tmp_path / f"tape.{ending}"
    run_ffmpeg("-i", make_clip(num_frames=30, gop=5), "-timecode", "09:59:59:20", "-c", "copy", clip)
    assert first_timecode(clip) == "09:59:59:20"
    for target in (tmp_path / "o.mov", tmp_path / "o.mkv"):
        assert not left_out(write(clip, target))
        assert first_timecode(target) == "09:59:59:20"
        write(clip, target, read=ReadOptions(start="0.4"), trim=True)
        assert first_timecode(target) == "10:00:00:05"


def test_a_time_code_without_a_rate_is_named(make_clip: MakeClip, tmp_path: Path):
    clip = make_clip("v.mkv", pts=[0, 1, 3, 4, 8, 9], metadata={"timecode": "10:00:00:00"})
    for ending, lost in (("mkv", []), ("mp4", ["metadata timecode of the file: mp4 has no place for it"])):
        assert left_out(write(clip, tmp_path / f"o.{ending}")) == lost


@pytest.mark.parametrize("codec", ["libvpx-vp9", "libvpx"])
def test_a_result_without_opacity_does_not_claim_any(tmp_path: Path, codec: str):
    clip = see_through(tmp_path / "a.webm", codec)
    with av.open(str(clip)) as opened:
        assert "alpha_mode" in opened.streams.video[0].metadata
    for ending in ("webm", "mkv"):
        write(clip, tmp_path / f"o.{ending}", options=EncodeOptions(encoder="vp9"))
        with av.open(str(tmp_path / f"o.{ending}")) as opened:
            assert "alpha_mode" not in {key.lower() for key in opened.streams.video[0].metadata}


def test_time_code_of_the_pictures_becomes_one_of_the_file(make_clip: MakeClip, tmp_path: Path):
    clip = tmp_path / "g.mpg"
    run_ffmpeg("-i", make_clip(num_frames=12), "-c:v", "mpeg2video", "-timecode", "01:02:03:04", clip)
    write(clip, tmp_path / "o.mov")
    assert first_timecode(tmp_path / "o.mov") == "01:02:03:04"
    assert not first_timecode(make_clip("zero.mpg", codec="mpeg2video"))
    # hours, minutes, seconds and pictures in BCD, from the low byte on; 30: frames are dropped
    value = 0x10 | 0x20 << 8 | 0x30 << 16 | 0x12 << 24 | 1 << 30
    assert (
        timecode_in({16: (1).to_bytes(4, "little") + value.to_bytes(4, "little") + bytes(8)}) == "10:20:30;12"
    )


def test_time_codes_are_moved_by_whole_pictures():
    ntsc = Fraction(30000, 1001)
    one = 1 / ntsc
    assert later_timecode("00:00:59;29", one, ntsc, ntsc) == "00:01:00;02"
    assert later_timecode("00:09:59;29", one, ntsc, ntsc) == "00:10:00;00"
    assert (
        later_timecode("00:00:00;00", 107892 * one, ntsc, ntsc) == "01:00:00;00"
    )  # ST 12-1: an hour of drop-frame
    assert later_timecode("23:59:59:24", Fraction(1, 25), Fraction(25), Fraction(25)) == "00:00:00:00"
    assert later_timecode("00:00:00:24", Fraction(0), Fraction(25), Fraction(50)) == "00:00:00:48"
    assert later_timecode("no time code", one, ntsc, ntsc) == "no time code"
    for number in range(0, 60 * 1800, 997):
        text = later_timecode("00:00:00;00", number * one, ntsc, ntsc)
        assert later_timecode(text, one, ntsc, ntsc) == later_timecode(
            "00:00:00;00", (number + 1) * one, ntsc, ntsc
        )
