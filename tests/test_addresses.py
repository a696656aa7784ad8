"""Sources on other machines: read where that is allowed, by what FFmpeg may reach, and never beyond."""

from pathlib import Path

import av
import pytest
from support.clips import ClipOptions, read_video, run_ffmpeg, write_clip
from support.http_shelf import serving

from vsr.cli.main import run
from vsr.errors import ConfigError
from vsr.media.network import address_of, file_name, is_address
from vsr.media.reading.source import VideoSource

FLAGS = ["--scale", "1", "--source", "clean", "--preset", "ultrafast"]


def test_addresses_outlive_being_paths():
    for address in ("http://a.example/b%20c.mp4?d=e", "https://u:p@a.example:8080/b.mkv"):
        assert is_address(Path(address))
        assert address_of(Path(address)) == address
    assert file_name("http://a.example/b%20c.mp4?d=e") == "b c.mp4"
    assert not is_address("httpd/conf.mp4")


def test_an_address_is_read_where_that_is_allowed(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "served").mkdir()
    options = ClipOptions(
        num_frames=5, size=(48, 64), audio=True, container_options={"movflags": "+faststart"}
    )
    clip = write_clip(tmp_path / "served" / "in.mp4", options)
    with serving({"/in.mp4": clip.read_bytes()}) as shelf:
        address = f"{shelf.address.replace('//', '//user:secret@')}/in.mp4"
        assert run(["enhance", address, *FLAGS]) == 2
        said = capfd.readouterr().err
        assert "--allow-network lets it be read" in said
        assert "secret" not in said
        with pytest.raises(ConfigError, match="allow-network"):
            VideoSource(address)
        assert run(["enhance", address, *FLAGS, "--allow-network", "--sidecar"]) == 0
        assert "secret" not in capfd.readouterr().err + (tmp_path / "in_x1.mp4.vsr.json").read_text()
        assert len(read_video(tmp_path / "in_x1.mp4")[0]) == 5
        with av.open(str(tmp_path / "in_x1.mp4")) as made, av.open(str(clip)) as original:
            sounds = [
                [bytes(packet) for packet in opened.demux(audio=0) if packet.size]
                for opened in (made, original)
            ]
        assert sounds[0] == sounds[1] != []
        assert run(["probe", address, "--allow-network"]) == 0


def test_a_picture_at_an_address_is_refused_and_so_is_an_address_in_a_list(tmp_path, capfd):
    address = "https://user:secret@a.example/in.png?sig=secret"
    listed = tmp_path / "list.txt"
    for scheme in ("https", "s3"):
        listed.write_text(f"in.mp4\n {address.replace('https', scheme)}\n")
        assert run(["batch", str(listed), "-o", str(tmp_path / "out"), "--allow-network"]) == 2
        said = capfd.readouterr().err
        assert (
            f"line 2: {scheme}://***@a.example/in.png?sig=*** is an address; an archive is of files" in said
        )
    assert run(["enhance", address, "--allow-network"]) == 2
    said += capfd.readouterr().err
    assert "in.png?sig=*** is a picture by its name; addresses of videos are accepted" in said
    assert "secret" not in said
    assert list(tmp_path.iterdir()) == [listed]


def test_what_an_address_leads_to_reaches_no_file_here(tmp_path, capfd):
    secret, out = (
        write_clip(tmp_path / "secret.mkv", ClipOptions(num_frames=2, size=(48, 64))),
        tmp_path / "out.mkv",
    )
    lists = {
        "/list.ffconcat": f"ffconcat version 1.0\nfile '{secret}'\n",
        "/list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n",
    }
    with serving({name: text.encode() for name, text in lists.items()}) as shelf:
        shelf.moved["/moved.mkv"] = f"file://{secret}"
        for name in (*lists, "/moved.mkv", "/none.mp4"):
            assert run(["enhance", f"{shelf.address}{name}", "-o", str(out), "--allow-network", *FLAGS]) == 1
            said = capfd.readouterr().err
            assert "cannot read http://" in said
            assert ("404" in said) == (name == "/none.mp4")
            assert not out.exists()


@pytest.mark.parametrize(("kept_in", "made"), [("mp4", "mkv"), ("mkv", "mp4")])
def test_subtitles_from_an_address_are_converted_as_those_of_a_file(tmp_path, kept_in, made):
    clip = write_clip(tmp_path / "plain.mkv", ClipOptions(num_frames=25, size=(32, 48)))
    spoken, source = tmp_path / "spoken.srt", tmp_path / f"in.{kept_in}"
    spoken.write_text(
        "1\n00:00:00,200 --> 00:00:00,400\nHere\n\n2\n00:00:00,500 --> 00:00:00,900\nand <i>there</i>\n"
    )
    kind = "mov_text" if kept_in == "mp4" else "srt"
    run_ffmpeg("-i", clip, "-i", spoken, "-map", "0:v", "-map", "1", "-c:v", "copy", "-c:s", kind, source)
    with serving({f"/{source.name}": source.read_bytes()}) as shelf:
        for word, out in ((str(source), "near"), (f"{shelf.address}/{source.name}", "far")):
            assert (
                run(["enhance", word, "-o", str(tmp_path / f"{out}.{made}"), "--allow-network", *FLAGS]) == 0
            )
    near, far = (_texts(tmp_path / f"{out}.{made}") for out in ("near", "far"))
    assert near
    assert near == far


def test_sound_that_no_copy_holds_is_converted_from_an_address_too(tmp_path):
    source, out = tmp_path / "in.mov", tmp_path / "out.webm"
    made = ("-f", "lavfi", "-i", "testsrc2=s=48x32:r=25:d=1", "-f", "lavfi", "-i", "sine=d=1")
    run_ffmpeg(*made, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "alac", source)
    with serving({"/in.mov": source.read_bytes()}) as shelf:
        assert run(["enhance", f"{shelf.address}/in.mov", "-o", str(out), "--allow-network", *FLAGS[:4]]) == 0
    with av.open(str(out)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == pytest.approx(48_000, rel=0.05)


def _texts(path: Path) -> list[tuple[bytes, int]]:
    with av.open(str(path)) as container:
        return [(bytes(each), each.pts) for each in container.demux(subtitles=0) if each.size]
