"""Cameras found and asked by ONVIF, against the small part of one, on loopback."""

import base64
import tomllib
from datetime import UTC, datetime, timedelta

import pytest
from support.onvif_camera import OnvifCamera

from vsr.cli.main import run
from vsr.errors import ConfigError, SourceError
from vsr.live.onvif.camera_services import OnvifDevice, StreamProfile
from vsr.live.onvif.discovery import FoundCamera, find_cameras
from vsr.live.onvif.envelope import parse, user_token

WHO = ("al&ice", "ge-h3im")


def test_a_camera_answers_and_what_others_throw_in_is_left_out():
    with OnvifCamera() as camera:
        found = find_cameras("127.0.0.1", wait_s=1.0, port=camera.discovery_port)
    assert found == [FoundCamera(camera.service, "Front door")]


def test_an_interface_that_this_machine_has_not_is_refused():
    with pytest.raises(ConfigError, match=r"interface '192\.0\.2\.7' cannot be used"):
        find_cameras("192.0.2.7", wait_s=0.1)


def test_the_digest_is_that_of_the_standard():
    # Username Token Profile 1.0 defines it; the figures are those of ONVIF's programmer's guide.

    nonce = base64.b64decode("LKqI6G/AikKCQrN0zqZFlg==")
    token = user_token("user", "userpassword", datetime(2010, 9, 16, 7, 50, 45, tzinfo=UTC), nonce)
    assert ">tuOSpGlFlIXsozq4HFNeeGeFLEI=<" in token
    assert "userpassword" not in token


@pytest.mark.parametrize("ahead_h", [0, -9])
def test_streams_are_told_the_largest_first_whatever_the_cameras_clock_says(ahead_h):
    with OnvifCamera(login=("alice", WHO[1]), ahead=timedelta(hours=ahead_h)) as camera:
        streams = OnvifDevice(camera.service, ("alice", WHO[1])).streams()
    assert streams == [
        StreamProfile("main & more", "rtsp://127.0.0.1:554/main?a=1&b=2", "H264", 1080, 1920, 25.0),
        StreamProfile("sub & more", "rtsp://127.0.0.1:554/sub?a=1&b=2", "H264", 360, 640, 25.0),
    ]


@pytest.mark.parametrize("login", [None, ("alice", "wr0ng")])
def test_a_wrong_password_is_said_and_not_shown(login):
    with (
        OnvifCamera(login=("alice", WHO[1])) as camera,
        pytest.raises(SourceError, match="wants another user and password") as caught,
    ):
        OnvifDevice(camera.service, login).streams()
    assert "wr0ng" not in str(caught.value)


def test_no_digest_goes_to_another_host_than_the_one_that_was_asked():
    with OnvifCamera(media_host="192.0.2.9") as camera:
        assert len(OnvifDevice(camera.service, ("a", "b")).streams()) == 2
        assert camera.asked == [
            "GetSystemDateAndTime",
            "GetCapabilities",
            "GetProfiles",
            *["GetStreamUri"] * 2,
        ]


@pytest.mark.parametrize(
    "answer",
    [b"", b"<", b"plain", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b"<a/>" + b" " * 10, b"\xff\xfe<"],
)
def test_nonsense_is_an_error_in_a_line(answer):
    with OnvifCamera(answers=lambda _: answer) as camera:
        if answer.startswith(b"<a/>"):
            assert OnvifDevice(camera.service).streams() == []
            return
        with pytest.raises(SourceError) as caught:
            OnvifDevice(camera.service).streams()
        assert "\n" not in str(caught.value)


def test_document_types_are_refused():
    with pytest.raises(SourceError, match="is no SOAP"):
        parse(b'<?xml version="1.0"?><!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>')


def test_the_command_prints_a_table_and_lines_that_a_file_of_cameras_takes(tmp_path, capsys):
    secret = tmp_path / "door.txt"
    secret.write_text(":".join(("alice", WHO[1])))
    with OnvifCamera(login=("alice", WHO[1])) as camera:
        words = ["live", "discover", f"127.0.0.1:{camera.port}", "--credentials-file", str(secret)]
        assert run([*words, camera.service]) == 0
    shown = capsys.readouterr()
    table = tomllib.loads(shown.out[shown.out.index("[[cameras]]") :])
    assert [one["name"] for one in table["cameras"]] == ["camera-127-0-0-1", "camera-127-0-0-1-2"]
    assert table["cameras"][0]["url"] == "rtsp://127.0.0.1:554/main?a=1&b=2"
    assert table["cameras"][0]["credentials_file"] == str(secret)
    assert WHO[1] not in shown.out + shown.err


def test_nobody_is_asked_by_itself(capsys):
    assert run(["live", "discover"]) == 2
    assert "--interface ADDRESS" in capsys.readouterr().err


def test_a_host_that_does_not_answer_is_said(capsys):
    assert run(["live", "discover", "127.0.0.1:1"]) == 1
    assert "no answer" in capsys.readouterr().err
