"""FFmpeg gets what it needs of our environment, and nothing that may be secret, however it is started."""

from collections.abc import Callable
from pathlib import Path

import pytest

from vsr.media.ffmpeg import Child, ask_ffmpeg, run_ffmpeg
from vsr.media.protocols import find_ffmpeg_with

WAYS: dict[str, Callable[[str], object]] = {
    "a child": lambda program: Child([program]).wait(),
    "a run": lambda program: run_ffmpeg([program]),
    "a question": ask_ffmpeg,
    "a trial": lambda program: find_ffmpeg_with("srt", hides=True),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_secret_of_ours_gets_into_its_environment(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told, program = tmp_path / "told", tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\nenv >> {told}\nprintf 'MD5= srt Output:'\n")
    program.chmod(0o755)
    monkeypatch.setenv("VSR_FFMPEG", str(program))
    for name in ("DOOR_LOGIN", "AWS_SECRET_ACCESS_KEY", "VSR_TOKEN"):
        monkeypatch.setenv(name, "s3cr3t")
    wanted = {"CUDA_VISIBLE_DEVICES": "1", "LIBVA_DRIVER_NAME": "iHD", "LC_ALL": "C", "TZ": "Asia/Tokyo"}
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    WAYS[way](str(program))
    seen = told.read_text()
    assert "s3cr3t" not in seen
    assert {f"{name}={value}" for name, value in wanted.items()} < set(seen.splitlines())
