"""What is secret in an address comes out nowhere: every kind of address by every way out that can be tried without a
camera. What processes are told is also in `evidence/test_secrets.py` and `live/test_live_command.py`."""

import json
import logging
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import pytest
from support.clips import ClipOptions, write_clip
from support.http_shelf import serving

from vsr.cli.console import fail, say, show
from vsr.cli.main import run
from vsr.errors import VsrError, one_line, redact, story_of
from vsr.evidence.decisions import as_json
from vsr.jobs import Job
from vsr.jobs.identity import describe_source
from vsr.live import CameraOptions, JsonLines, LiveOptions, OutputOptions, Secrets, TextLines
from vsr.live.address import resolve
from vsr.live.region_options import RegionOptions
from vsr.media import find_ffmpeg

ADDRESSES = {
    "login of rtsp": "rtsp://s3cr3t-user:s3cr3t-word@host:554/a?channel=1",
    "login of rtmp": "rtmp://s3cr3t-user:s3cr3t-word@host/app",
    "key of rtmp": "rtmp://host/app/s3cr3t-word",
    "passphrase of srt": "srt://host:9000?passphrase=s3cr3t-word&latency=20000",
    "stream of srt": "srt://host:9000?streamid=s3cr3t-word",
    "login of http": "http://s3cr3t-user:s3cr3t-word@host/in.mp4",
    "odd login of http": "https://s3cr3t-user:s3cr3t/w?o@rd-word@host/in.mp4",
    "login of a broker": "mqtts://s3cr3t-user:s3cr3t-word@host:8883",
    "keys of s3": "s3://s3cr3t-user:s3cr3t-word@bucket/in.mp4",
    "long": f"https://s3cr3t-user:{'s3cr3t' * 60}@host/in.mp4",
    **{
        f"{key} of http": f"https://host/in.mp4?{key}=s3cr3t-word&X-Amz-Expires=60"
        for key in ("X-Amz-Signature", "X-Amz-Security-Token", "token", "sig", "key", "Password")
    },
    "escaped": "https://host/in.mp4?sig=s3cr3t%2Dword",
    "bare": "https://host/in.mp4?s3cr3t-word",
}
FLAGS = ["--model", "bicubic-x2", "--device", "cpu"]
LIVE = [name for name, url in ADDRESSES.items() if url.startswith(("rtsp:", "rtmp:", "srt:"))]


def behind(address: str) -> VsrError:
    """An error of ours because of one of a library's."""
    try:
        try:
            raise OSError(2, "not there", address)
        except OSError as error:
            raise VsrError(f"cannot read {address!r}: not there") from error
    except VsrError as error:
        return error


WAYS: dict[str, Callable[[str], object]] = {
    "an error": lambda address: VsrError(f"cannot read {address!r}: 401 (as {address})."),
    "an error of others in a line": lambda address: one_line(OSError(f"{'x' * 120} {address}: refused")),
    "a traceback": lambda address: story_of(behind(address)),
    "results": lambda address: show(f"input    {address}"),
    "a line": lambda address: say(f"{address}: 1 frame"),
    "an error's line": lambda address: fail(f'Invalid value "{address}" for --scale'),
    "a record": lambda address: as_json({"options": [address, Fraction(1, 2)]}),
    "what a job is called": lambda address: [
        (each.named, each.place) for each in (Job(Path(address), Path("out.mp4"), is_image=False),)
    ],
    "text": lambda address: redact(f'<a href="{address}">, {address}, ({address})'),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ADDRESSES)
def test_no_way_out_shows_what_is_secret(kind: str, way: str, capfd: pytest.CaptureFixture[str]):
    if way == "what a job is called" and not ADDRESSES[kind].startswith("http"):
        pytest.skip("a job's path means an address by HTTP alone")
    told = WAYS[way](ADDRESSES[kind])
    said = f"{told!s} {told!r} {''.join(capfd.readouterr())}"
    assert "s3cr3t" not in said
    assert "***" in said or way == "an error of others in a line"  # which is cut short


def test_what_is_not_secret_stays():
    for text in (
        "https://host:80/a.mp4, and http://host/b?",
        "(see https://host/a.mp4)",
        "rtsp://host/a?channel=1&subtype=0: refused",
    ):
        assert redact(text) == text
    assert redact("'https://host/a?sig=x': 403") == "'https://host/a?sig=***': 403"
    assert redact("http:/u:p@host/a, s3:/u:p@b/c") == "http:/***@host/a, s3:/***@b/c"  # as a Path has it
    assert redact("C:/tapes/a@b?c.avi: gone") == "C:/tapes/a@b?c.avi: gone"


@pytest.mark.parametrize("kind", LIVE)
def test_options_records_and_log_of_a_camera_show_nothing_secret(kind: str):
    address = resolve(ADDRESSES[kind])
    assert "s3cr3t" not in repr(address)
    assert redact(address.url) == address.shown
    output = OutputOptions(cast("Any", address.scheme), address.url)
    region = RegionOptions("gate", 0, 0, 0.5, 0.5, outputs=(output,))
    camera = CameraOptions("door", address.url, outputs=(output,), regions=(region,))
    assert "s3cr3t" not in json.dumps(as_json(camera)) + repr(camera)
    secrets = Secrets()
    secrets.add(LiveOptions((CameraOptions("door", "rtsp://host/a", regions=(region,)),)))
    text = f"{address.url}: it says {sorted(address.secrets, key=len)[-1]}"
    record = logging.LogRecord("vsr.live", logging.INFO, "", 0, "%s", (text,), None)
    record.fields = {"target": address.url, "all": [address.url]}
    for lines in (JsonLines(secrets), TextLines(secrets)):
        assert not any(secret in lines.format(record) for secret in address.secrets)


def test_addresses_that_differ_in_what_is_secret_are_two_sources():
    one, other = (describe_source(Path(f"http://host/a.mp4?id={each}")) for each in (17, 18))
    assert one != other
    assert "17" not in str(one).partition("(")[0]
    assert describe_source(Path("http://u:p@host/a.mp4")) == {"source address": "http://***@host/a.mp4"}


def test_a_file_from_an_address_tells_nobody_what_is_secret(tmp_path, capfd, monkeypatch):
    """Not in what is said, not in what lies there afterwards, and not on FFmpeg's command line."""
    clip = write_clip(tmp_path / "in.mp4", ClipOptions(num_frames=5, size=(48, 64), audio=True))
    noted = tmp_path / "noted"
    monkeypatch.setenv("VSR_FFMPEG", str(_noting(tmp_path / "ffmpeg", find_ffmpeg(), noted)))
    made = tmp_path / "made"
    made.mkdir()
    with serving({"/in.mp4": clip.read_bytes()}) as shelf:
        far = f"{shelf.address.replace('//', '//s3cr3t-user:s3cr3t-word@')}/in.mp4?X-Amz-Signature=s3cr3t"
        # A container that holds no AAC: the sound is converted, by FFmpeg's program.
        words = ["enhance", far, "-o", str(made / "out.webm"), "--allow-network", "--sidecar", *FLAGS]
        assert run([*words, "--report", str(made / "report.json"), "--segment", "1", "--debug"]) == 0
        gone = far.replace("in.mp4", "gone.mp4")
        assert run(["enhance", gone, "--allow-network", *FLAGS, "--debug"]) == 1
        assert run(["probe", far, "--allow-network", "--json"]) == 0
    said = capfd.readouterr()
    assert "***" in said.out
    assert "***" in said.err
    assert "libopus" in noted.read_text() or "libvorbis" in noted.read_text()
    left = b"".join(each.read_bytes() for each in [noted, *made.rglob("*")] if each.is_file())
    assert "s3cr3t" not in said.out + said.err
    assert b"s3cr3t" not in left


def _noting(path: Path, program: str, noted: Path) -> Path:
    """The program, which writes down what it is told."""
    path.write_text(f'#!/bin/sh\necho "$@" >> {noted}\nexec {program} "$@"\n')
    path.chmod(0o755)
    return path
