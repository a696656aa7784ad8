"""No part of a password is shown, and files that hold some are others' business no more."""

from pathlib import Path

import pytest

from vsr.errors import ConfigError, redact
from vsr.live.address import resolve
from vsr.live.camera_file import exposed_files, read_options


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://user:12?secret@host/stream",
        "rtsp://user:12#secret@host",
        "rtsp://user:80/secret@host/a",
        "rtsp://user:12?sec/ret@host/a",
        "rtsp://user:pa?secret@host",
    ],
)
def test_half_a_password_is_not_shown(url: str):
    with pytest.raises(ConfigError) as caught:
        resolve(url)
    for part in ("user:", "12", "80/", "sec", "ret@", "pa?"):
        assert part not in str(caught.value)
    assert "%3F" in str(caught.value)
    assert redact(f"cannot open {url} today").startswith("cannot open rtsp://***@host")


def test_addresses_without_a_password_are_left():
    for url in ("rtsp://host:554/a?channel=1", "https://host/a@2x.m3u8"):
        assert redact(f"{url} is away") == f"{url} is away"
    assert resolve("rtsp://host/a?user=me@x&channel=1").shown == "rtsp://host/a?user=***&channel=1"


def test_files_of_credentials_that_others_read_are_named(tmp_path: Path):
    cameras, secret = tmp_path / "cameras.toml", tmp_path / "secret"
    secret.write_text("user:password\n")
    table = '[[cameras]]\nname = "{}"\nurl = "rtsp://{}host/{}"\n{}\n'
    beside = f'credentials_file = "{secret}"'
    cameras.write_text(table.format("a", "", "1", beside) + table.format("b", "user:password@", "2", ""))
    for each in (cameras, secret):
        each.chmod(0o644)
    assert exposed_files(read_options(cameras), cameras) == [str(secret), str(cameras)]
    secret.chmod(0o640)
    cameras.chmod(0o600)
    assert exposed_files(read_options(cameras), cameras) == [str(secret)]
    secret.chmod(0o600)
    assert exposed_files(read_options(cameras), cameras) == []
