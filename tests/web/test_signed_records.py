"""Records that a server signs by a key of its own, which no client sees anything of."""

import json
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from zipfile import ZipFile

import pytest
from support.web_server import WebServer, web

from vsr.cli.main import run
from vsr.evidence import check_evidence
from vsr.evidence.signing import KeyFile

pytest.importorskip("cryptography", reason="needs the extra `evidence`")
if not which("openssl"):
    pytest.skip("openssl is not installed", allow_module_level=True)

OPTIONS = {"model": ["bicubic-x2"], "preset": "ultrafast", "evidence": True}
SIGNER = """#!/bin/sh
cd {folder}
case $1 in
  public) openssl pkey -in lab.pem -pubout ;;
  sign) test ! -e broken || {{ cat lab.pem >&2; exit 9; }}
    cat > asked && openssl pkeyutl -sign -rawin -inkey lab.pem -in asked ;;
esac
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key, and a program that signs by it unless it is broken."""
    folder = tmp_path_factory.mktemp("lab")
    assert run(["evidence", "key", str(folder / "lab.pem")]) == 0
    (folder / "signer").write_text(SIGNER.format(folder=folder))
    (folder / "signer").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def server(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with web(tmp_path_factory.mktemp("signing"), "--sign", f"exec:{lab}/signer") as server:
        yield server


def record_of(server: WebServer, job: dict, folder: Path) -> Path:
    """The record of a job, taken home."""
    server.client.save_record(job["id"], folder / "record.zip")
    with ZipFile(folder / "record.zip") as packed:
        packed.extractall(folder)
    return folder / "result.mp4.evidence"


def test_a_record_is_signed_by_the_servers_key_and_says_by_which(server, lab, clip, tmp_path):
    client = server.client
    job = client.wait(client.order(client.upload(clip), **OPTIONS)["id"], every_s=0.05)
    assert job["state"] == "succeeded", job["error"]
    public = KeyFile(lab / "lab.pem").public_key.hex()
    assert job["signed_by"] == public
    assert client.get(f"/v1/jobs/{job['id']}/report")["evidence"]["signer"] == {"Ed25519": public}
    assert f"records are signed by the key {public}" in server.log.read_text()
    client.save(job["id"], tmp_path / "web.mp4")
    record, place = record_of(server, job, tmp_path), {"source": clip, "result": tmp_path / "web.mp4"}
    told = list(check_evidence(record, **place, key=lab / "lab.pem.pub"))
    assert any("by the key that you trust" in line for line in told)
    plain = client.wait(client.order(client.upload(clip), model=["bicubic-x2"])["id"], every_s=0.05)
    assert (plain["evidence"], plain["signed_by"]) == (None, None)


def test_why_a_key_does_not_sign_is_told_to_who_runs_the_server_alone(server, lab, clip, tmp_path):
    client = server.client
    (lab / "broken").touch()
    job = client.wait(client.order(client.upload(clip), **OPTIONS)["id"], every_s=0.05)
    assert (job["state"], job["signed_by"]) == ("failed", None)
    assert job["error"].startswith("this server's key does not sign")
    assert "fails with code 9" in " ".join(server.log.read_text().split())
    assert "fails with code 9" not in json.dumps(job)
    (lab / "broken").unlink()
    client.ask("POST", f"/v1/jobs/{job['id']}/retry")
    job = client.wait(job["id"], every_s=0.05)
    assert job["state"] == "succeeded", job["error"]
    secret = (lab / "lab.pem").read_text().splitlines()[1]
    record = record_of(server, job, tmp_path)
    events = server.send("GET", f"/v1/jobs/{job['id']}/events")[2].decode()
    files = [path.read_text("utf-8", "replace") for path in record.rglob("*") if path.is_file()]
    for text in (json.dumps(job), events, server.log.read_text(), *files):
        assert secret not in text
    assert str(lab) not in json.dumps(job) + events


def test_a_key_that_cannot_sign_ends_the_start_with_a_line(tmp_path, capsys):
    (tmp_path / "no.pem").write_text("no key")
    for sign, told in ((f"{tmp_path}/no.pem", "holds no private key"), ("exec:/nowhere", "cannot be called")):
        assert run(["web", "--data", str(tmp_path / "data"), "--sign", sign]) == 2
        assert told in " ".join(capsys.readouterr().err.split())
