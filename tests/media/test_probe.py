"""`probe` states every fact of a video, and says in one line why it cannot."""

import gc
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from support.clips import run_ffmpeg

from vsr.errors import ConfigError, SourceError
from vsr.media.matroska_header import header_of, siting_in
from vsr.media.probe_video import open_container, packets_of, probe

MakeClip = Callable[..., Path]


def lavfi(path: Path, *arguments: str, source: str = "testsrc2=s=64x48:d=0.4:r=25") -> Path:
    run_ffmpeg("-f", "lavfi", "-i", source, *arguments, path)
    return path


def test_facts_of_a_plain_clip(make_clip: MakeClip):
    info = probe(make_clip(num_frames=10, audio=True, chapters=True, metadata={"title": "a title"}))
    assert (info.kind, info.codec, info.pixel_format) == ("video", "h264", "yuv420p")
    assert (info.format.height, info.format.width, info.format.layout, info.format.bit_depth) == (
        48,
        64,
        "yuv420",
        8,
    )
    assert (info.time_base, info.start_pts, info.num_frames) == (Fraction(1, 25), 0, 10)
    assert info.duration_s == pytest.approx(0.4)
    assert (info.average_rate, info.rotation, info.interlaced) == (25, 0, False)
    assert [other.kind for other in info.others][:1] == ["audio"]
    assert info.others[0].codec == "aac"
    assert info.num_chapters == 2
    assert info.metadata["title"] == "a title"
    assert info.bit_rate
    assert info.mastering is None
    assert "mp4" in info.container


def test_subtitles_and_attachments_are_listed(make_clip: MakeClip):
    info = probe(make_clip("a.mkv", subtitles=True, attachment=True))
    assert [(other.kind, other.language) for other in info.others] == [
        ("subtitle", "eng"),
        ("attachment", None),
    ]


@pytest.mark.parametrize(("height", "expected"), [(576, "smpte170m"), (718, "smpte170m"), (720, "bt709")])
def test_untagged_matrix_follows_the_usual_rule_and_says_so(make_clip: MakeClip, height: int, expected: str):
    info = probe(make_clip(num_frames=1, size=(height, 64)))
    assert {info.format.matrix, info.format.primaries, info.format.transfer} == {expected}
    assert len(info.notes) == 1
    assert expected in info.notes[0]


def test_untagged_matrix_of_bt2020_primaries_is_bt2020(make_clip: MakeClip):
    clip = make_clip(codec="libx265", pixel_format="yuv420p10le", primaries="bt2020", transfer="smpte2084")
    info = probe(clip)
    assert (info.format.matrix, info.format.primaries, info.format.transfer) == (
        "bt2020nc",
        "bt2020",
        "smpte2084",
    )


@pytest.mark.parametrize("range_", ["limited", "full"])
def test_colour_tags_are_read(make_clip: MakeClip, range_: str):
    clip = make_clip(matrix="bt709", primaries="bt709", transfer="iec61966-2-1", range=range_)
    format = probe(clip).format
    assert (format.matrix, format.primaries, format.transfer) == ("bt709", "bt709", "iec61966-2-1")
    assert format.range == range_
    assert probe(clip).notes == ()


def test_rgb_has_no_matrix_and_full_range(make_clip: MakeClip):
    format = probe(make_clip("a.mkv", codec="ffv1", pixel_format="bgr0")).format
    assert (format.layout, format.matrix, format.range) == ("rgb", "gbr", "full")


def test_aspect_and_rotation(make_clip: MakeClip):
    info = probe(make_clip(sample_aspect=Fraction(64, 45), rotation=90))
    assert (info.format.sample_aspect, info.rotation) == (Fraction(64, 45), 90)
    assert probe(make_clip("b.mp4", rotation=-90)).rotation == 270
    assert probe(make_clip("c.mov", rotation=180)).rotation == 180


@pytest.mark.parametrize(("code", "name"), [(0, "left"), (1, "center"), (2, "topleft"), (3, "top")])
def test_siting_is_read(make_clip: MakeClip, code: int, name: str):
    clip = make_clip(codec_options={"x264-params": f"chromaloc={code}"})
    assert probe(clip).format.siting == name


def test_interlaced_is_seen(make_clip: MakeClip):
    assert probe(make_clip("a.mp4", interlaced="tff", size=(64, 64))).interlaced
    assert probe(make_clip("a.mpg", interlaced="bff", codec="mpeg2video")).interlaced


def test_hdr_metadata_is_read(tmp_path: Path):
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    params = f"log-level=none:pools=1:frame-threads=1:hdr10=1:master-display={display}:max-cll=1000,400"
    clip = lavfi(tmp_path / "a.mkv", "-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", params)
    mastering = probe(clip).mastering
    assert mastering is not None
    assert mastering.primaries[0] == (Fraction(34000, 50000), Fraction(16000, 50000))
    assert mastering.primaries[2] == (Fraction(7500, 50000), Fraction(3000, 50000))
    assert mastering.white_point == (Fraction(15635, 50000), Fraction(16450, 50000))
    assert (mastering.min_luminance, mastering.max_luminance) == (Fraction(50, 10000), 1000)
    assert (mastering.max_content_light, mastering.max_frame_average_light) == (1000, 400)


def test_start_offset_is_kept(make_clip: MakeClip):
    assert probe(make_clip("a.mp4", time_base=Fraction(1, 1000), start_pts=700)).start_pts == 700


def test_cover_picture_is_not_the_video(make_clip: MakeClip, tmp_path: Path):
    cover = lavfi(tmp_path / "cover.png", "-frames:v", "1", source="testsrc2=s=640x480")
    both = tmp_path / "both.mp4"
    run_ffmpeg(
        "-i",
        cover,
        "-i",
        make_clip(),
        "-map",
        "0",
        "-map",
        "1",
        "-c",
        "copy",
        "-disposition:v:0",
        "attached_pic",
        both,
    )
    info = probe(both)
    assert (info.codec, info.format.width) == ("h264", 64)
    assert [(other.kind, other.codec) for other in info.others] == [("video", "png")]


def audio_only(folder: Path) -> Path:
    return lavfi(folder / "a.m4a", source="sine=d=0.3")


def audio_with_cover(folder: Path) -> Path:
    cover = lavfi(folder / "cover.png", "-frames:v", "1", source="testsrc2=s=64x48")
    song = folder / "song.m4a"
    run_ffmpeg(
        "-i",
        audio_only(folder),
        "-i",
        cover,
        "-map",
        "0",
        "-map",
        "1",
        "-c",
        "copy",
        "-disposition:v",
        "attached_pic",
        song,
    )
    return song


def written(name: str, data: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return write


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.mp4")
    return folder / "pipe.mp4"


BAD_INPUTS = {
    "pipe": (pipe, "it is a pipe or device"),
    "missing": (lambda folder: folder / "no.mp4", "no such file"),
    "folder": (lambda folder: folder, "it is a folder"),
    "empty": (written("a.mp4", b""), "the file is empty"),
    "text": (written("a.txt", b"this is no video\n" * 50), "no video format is recognised"),
    "text named mp4": (written("a.mp4", b"this is no video\n" * 50), "no video format is recognised"),
    "noise": (written("a.mkv", bytes(range(256)) * 40), "no video format is recognised"),
    "audio only": (audio_only, "no video stream (found: audio aac)"),
    "audio with a cover": (audio_with_cover, "no video stream (found: audio aac, a cover picture (png))"),
    "HLS playlist": (written("a.m3u8", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n"), "it is a playlist"),
    "concat list": (written("a.ffconcat", b"ffconcat version 1.0\nfile a.mp4\n"), "it is a playlist"),
    "SDP": (written("a.sdp", b"v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"), "it is a playlist"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input_has_one_clear_line(tmp_path: Path, name: str):
    make, expected = BAD_INPUTS[name]
    with pytest.raises(SourceError) as caught:
        probe(make(tmp_path))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cut_off_header_is_named(make_clip: MakeClip, tmp_path: Path):
    whole = make_clip().read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match="cut off"):
        probe(cut)


def test_playlist_behind_another_name_reaches_no_other_file(make_clip: MakeClip, tmp_path: Path):
    clip = make_clip("secret.ts")
    manifest = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp2t"><Representation id="1">'
        f"<BaseURL>file://{clip}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    for name, text in {"a.mp4": manifest, "b.ts": f"\n#EXTM3U\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n"}.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(SourceError):
            probe(tmp_path / name)


def test_url_is_not_opened():
    with pytest.raises(ConfigError, match="--allow-network lets it be read") as caught:
        probe("http://user:secret@localhost/a.mp4")
    assert "secret" not in str(caught.value)


def test_odd_file_names_are_files(make_clip: MakeClip, tmp_path: Path):
    for name in ("http:a.mp4", "-i.mp4", "a%03d.mp4", "ä 'b'.mp4"):
        assert probe(make_clip(name, num_frames=2)).num_frames == 2


def test_probe_closes_what_it_opened(make_clip: MakeClip):
    clip = make_clip()
    open_files = Path("/proc/self/fd")
    if not open_files.is_dir():
        pytest.skip("no /proc here")
    gc.collect()  # what other tests left open is closed now, not while this one counts
    before = len(list(open_files.iterdir()))
    for _ in range(3):
        probe(clip)
    assert len(list(open_files.iterdir())) <= before
    with open_container(clip) as container:
        assert container.streams.video


def test_packets_end_where_a_stream_turns_up_on_the_way():
    class Container:
        def demux(self, *streams):
            yield 1
            raise IndexError("list index out of range")  # what PyAV does after the last packet

    assert list(packets_of(Container())) == [1]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.hevc", "libx265"), ("a.264", "libx264"), ("a.mp4", "libx264"), ("a.ogv", "libtheora")],
)
def test_where_chroma_lies_is_learnt_without_the_decoders_setup(tmp_path: Path, name: str, codec: str):
    """Muxers look through it, without end where somebody wants them to."""
    place = ("-chroma_sample_location", "topleft") if codec != "libtheora" else ()
    quiet = ("-x265-params", "log-level=none") if codec == "libx265" else ()
    clip = lavfi(tmp_path / name, "-pix_fmt", "yuv420p", *place, "-c:v", codec, *quiet)
    assert probe(clip).format.siting == ("topleft" if place else "center")
    with open_container(clip) as container:
        stream = container.streams.video[0]
        setup = stream.codec_context.extradata
        assert setup
        assert setup[-12:] not in header_of(stream)
        stream.codec_context.extradata = bytes(range(1, 200))  # nobody's
        assert siting_in(header_of(stream)) == probe(clip).format.siting
