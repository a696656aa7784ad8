"""Keys and passwords stand in no command line and no environment of any process that makes and signs records: each
process tells of itself when it starts, and of whatever it starts."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from evidence.conftest import FLAGS
from support.clips import ClipOptions, write_clip
from support.live_player import free_port

from vsr.cli.main import run
from vsr.errors import SinkError
from vsr.evidence import check_evidence, check_live
from vsr.media.protocols import find_ffmpeg_with
from vsr.web.client import Client

serialization = pytest.importorskip(
    "cryptography.hazmat.primitives.serialization", reason="needs the extra `evidence`"
)

WATCH = """
import json, os, sys

def note(words, environment):
    words = [os.fsdecode(word) for word in ([words] if isinstance(words, (str, bytes)) else words)]
    line = json.dumps([words, {os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()}])
    with open(os.environ["NOTED_IN"], "a") as file:
        file.write(line + chr(10))

def hear(event, told):
    if event == "subprocess.Popen":
        note(told[1], os.environ if told[3] is None else told[3])

note(sys.orig_argv, os.environ)
sys.addaudithook(hear)
"""
PASSWORD = "xyzzy-0815"


class Watched:
    """Commands whose processes are noted."""

    def __init__(self, folder: Path):
        (folder / "watch").mkdir()
        (folder / "watch" / "sitecustomize.py").write_text(WATCH)
        paths = [str(folder / "watch"), str(Path(__file__).parents[2])]
        self._noted, self.log = folder / "noted", folder / "log"
        self._env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "NOTED_IN": str(self._noted)}

    def begin(self, *words: str | Path) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "vsr", *map(str, words)]
            return subprocess.Popen(command, env=self._env, stdout=log, stderr=log)

    def wait(self, process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
        until = time.monotonic() + 240
        while not condition():
            assert process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)

    def noted(self) -> str:
        """All that was noted: a line for each process."""
        return self._noted.read_text() if self._noted.exists() else ""

    def check(self, secrets: Sequence[str], *programs: str) -> None:
        """Nothing secret was noted, of any process; and these programs were."""
        commands = [" ".join(json.loads(line)[0]) for line in self.noted().splitlines()]
        for program in programs:
            assert any(program in command for command in commands), commands
        assert [line for line in self.noted().splitlines() if any(each in line for each in secrets)] == []


@pytest.fixture
def watched(tmp_path) -> Watched:
    return Watched(tmp_path)


@pytest.fixture
def key(tmp_path) -> Path:
    assert run(["evidence", "key", str(tmp_path / "lab.pem")]) == 0
    return tmp_path / "lab.pem"


def told_of(key: Path) -> list[str]:
    """A private key in each way in which it might be passed on."""
    pem = key.read_bytes()
    raw = serialization.load_pem_private_key(pem, None).private_bytes_raw()
    return [pem.decode().splitlines()[1], raw.hex(), raw.hex().upper(), repr(raw)[2:-1]]


def test_the_watch_notes_what_a_process_is_given(watched, key):
    secret = told_of(key)[0]
    process = watched.begin("models", "--nothing", secret)
    process.wait(120)
    with pytest.raises(AssertionError):
        watched.check([secret])


SIGNER = """
import sys
from cryptography.hazmat.primitives import serialization as s
key = s.load_pem_private_key(open({key!r}, "rb").read(), None)
form = s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo
signing = sys.argv[1] == "sign"
sys.stdout.buffer.write(key.sign(sys.stdin.buffer.read()) if signing else key.public_key().public_bytes(*form))
"""


@pytest.mark.parametrize("by", ["file", pytest.param("program", marks=pytest.mark.slow)])
def test_a_signed_record_of_a_file_tells_no_process_the_key(watched, key, tmp_path, by):
    clip, signer = write_clip(tmp_path / "in.mp4", ClipOptions(num_frames=4)), tmp_path / "signer"
    signer.write_text(f'#!/bin/sh\nexec {sys.executable} {signer}.py "$1"\n')
    signer.chmod(0o755)
    Path(f"{signer}.py").write_text(SIGNER.format(key=str(key)))
    sign = str(key) if by == "file" else f"exec:{signer}"
    words = ["enhance", clip, "-o", tmp_path / "out.mp4", "--evidence", tmp_path / "record", *FLAGS]
    assert watched.begin(*words, "--sign", sign).wait(240) == 0, watched.log.read_text()
    told = list(check_evidence(tmp_path / "record", key=Path(f"{key}.pub"), decode=False))
    assert any("by the key that you trust" in line for line in told)
    watched.check(told_of(key), "libx264", *([f"{signer} sign"] if by == "program" else []))


@pytest.mark.slow
def test_a_server_tells_no_process_the_key(watched, key, tmp_path):
    clip, port = write_clip(tmp_path / "in.mp4", ClipOptions(num_frames=4)), free_port()
    process = watched.begin("web", "--port", str(port), "--data", tmp_path / "data", "--sign", key)
    try:
        watched.wait(process, lambda: "vsr web is at" in watched.log.read_text())
        client = Client(f"http://127.0.0.1:{port}")
        order = client.order(client.upload(clip), model=["nano-x2"], preset="ultrafast", evidence=True)
        job = client.wait(order["id"], every_s=0.1)
        assert (job["state"], bool(job["signed_by"])) == ("succeeded", True), job["error"]
    finally:
        process.terminate()
        process.wait(60)
    watched.check(told_of(key), "libx264")


@pytest.mark.slow
def test_a_camera_with_a_record_tells_no_process_key_or_password(watched, key, tmp_path):
    clip, folder = write_clip(tmp_path / "in.mp4", ClipOptions(num_frames=50)), tmp_path / "rec"
    targets = {
        "rtsp": f"rtsp://al:{PASSWORD}@127.0.0.1:{free_port()}/in",
        "record": folder,
    }
    with suppress(SinkError):  # no FFmpeg here can be told a passphrase in secret, and none is asked to
        find_ffmpeg_with("srt", hides=True)
        targets["srt"] = f"srt://127.0.0.1:{free_port()}?passphrase={PASSWORD}"
    outputs = "".join(
        f'[[cameras.outputs]]\nkind = "{kind}"\ntarget = "{target}"\n' for kind, target in targets.items()
    )
    config = tmp_path / "cameras.toml"
    config.write_text(
        f'models = ["nano-x2"]\n[[cameras]]\nname = "door"\nurl = "{clip}"\nevidence = true\nsign = "{key}"\n'
        f"{outputs}"
    )
    process = watched.begin("live", config, "--log", "json")
    log = folder / "evidence" / "log.jsonl"
    try:
        watched.wait(
            process,
            lambda: (
                log.exists()
                and '"begins"' in log.read_text()
                and watched.noted().count("vsr.live.push") >= len(targets)
            ),
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0, watched.log.read_text()
    finally:
        process.kill()
    assert any("signature" in line for line in check_live(folder / "evidence", key=Path(f"{key}.pub")))
    watched.check([*told_of(key), PASSWORD], "libx264", "vsr.live.push")
