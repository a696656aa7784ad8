"""Requests that name addresses, of a real process: by HTTP and by S3, whole or not at all."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from support.archives import wait_until
from support.clips import ClipOptions, write_clip
from support.container import container
from support.file_store import FileStore, file_store
from support.web_server import WebServer, free_port

from vsr.durable import sha256_of
from vsr.evidence import check_evidence, load_record, make_key
from vsr.evidence.signing import KeyFile
from vsr.media import probe
from vsr.web.record_key import NOT_SIGNED

BICUBIC = ("--model", "bicubic-x2", "--allow-private", "--max-gb", "0.001")


@pytest.fixture(scope="module")
def store(clip: Path) -> Iterator[FileStore]:
    with file_store() as store:
        store.files["/clip.mp4"] = clip.read_bytes()
        store.files["/large.mp4"] = bytes(1_000_001)
        yield store


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def bucket(clip: Path) -> Iterator[dict[str, str]]:
    """What a process is told of an S3 with a bucket `tapes`, and a clip in it."""
    pytest.importorskip("s3fs", reason="needs the extra `cloud`")
    pytest.importorskip("moto", reason="needs moto")
    port = free_port()
    told = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            s3 = WebServer(None, told["AWS_ENDPOINT_URL"], Path())
            wait_until(lambda: _answers(s3))
            assert s3.send("PUT", "/tapes")[0] == 200
            assert s3.send("PUT", "/tapes/in/clip.mp4", clip.read_bytes())[0] == 200
            yield told
        finally:
            process.kill()


def _answers(server: WebServer) -> bool:
    try:
        return server.send("GET", "/")[0] == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def key(work: Path) -> Path:
    pytest.importorskip("cryptography", reason="needs the extra `evidence`")
    make_key(work / "lab.pem")
    return work / "lab.pem"


@pytest.fixture(scope="module")
def server(work: Path, key: Path, request: pytest.FixtureRequest) -> Iterator[WebServer]:
    try:
        told = request.getfixturevalue("bucket")
    except pytest.skip.Exception:
        told = {}
    with container(work, *BICUBIC, "--sign", key, env={**told, "TMPDIR": str(work)}) as server:
        yield server


def ask(
    server: WebServer, input: str, output: str, *, record: str = "", **options: Any
) -> tuple[int, dict[str, Any]]:
    place = {"record": record} if record else {}
    body = json.dumps({"input": input, "output": output, "options": options} | place).encode()
    status, _, answer = server.send("POST", "/invocations", body, Content_Type="application/json")
    assert b"secret" not in answer
    return status, json.loads(answer)


def check_is_enlarged(data: bytes, folder: Path, ending: str) -> None:
    path = folder / f"result{ending}"
    path.write_bytes(data)
    info = probe(path)
    assert (info.format.width, info.format.height, info.num_frames) == (128, 96, 40)


def test_a_video_goes_from_address_to_address(server, store, work, tmp_path):
    status, record = ask(server, store.at("/clip.mp4"), store.at("/out/result.mkv"))
    assert status == 200, record
    data = store.files["/out/result.mkv"]
    check_is_enlarged(data, tmp_path, ".mkv")
    assert data.startswith(b"\x1a\x45\xdf\xa3")  # the output's ending says what it is
    assert record["result"]["sha256"] == hashlib.sha256(data).hexdigest()
    assert record["source"]["path"].endswith("/clip.mp4")
    assert not list(work.glob("vsr-*"))  # nothing of it stays


def test_a_video_goes_from_bucket_to_bucket(bucket, server, tmp_path):
    status, record = ask(server, "s3://tapes/in/clip.mp4", "s3://tapes/out/clip x2.mp4", scale=2)
    assert status == 200, record
    import s3fs

    s3 = s3fs.S3FileSystem(endpoint_url=bucket["AWS_ENDPOINT_URL"], key="test", secret="test")
    check_is_enlarged(s3.cat("tapes/out/clip x2.mp4"), tmp_path, ".mp4")
    for input, said in {"s3://tapes/none.mp4": "is not there", "s3://none/clip.mp4": "none"}.items():
        status, problem = ask(server, input, "s3://tapes/out/none.mp4")
        assert (status, said in problem["detail"]) == (422, True), problem
    assert ask(server, "s3://tapes/in/clip.mp4", "s3://none/clip.mp4")[0] == 422
    assert s3.ls("tapes/out", detail=False) == ["tapes/out/clip x2.mp4"]


def check_record(data: bytes, told: dict[str, Any], folder: Path, key: Path) -> None:
    """Of a record that was put beside its result."""
    with ZipFile(BytesIO(data)) as packed:
        packed.extractall(folder)
    record = folder / told["evidence"]["folder"]
    (folder / "result").write_bytes(files := (folder / "result.bin").read_bytes())
    where = {"source": folder / "source.mp4", "result": folder / "result"}
    lines = list(check_evidence(record, **where, key=Path(f"{key}.pub"), decode=False))
    assert any("by the key that you trust" in line for line in lines)
    facts = load_record(record)
    assert facts["result"]["sha256"] == told["result"]["sha256"] == hashlib.sha256(files).hexdigest()
    assert facts["signer"] == told["evidence"]["signer"] == {"Ed25519": KeyFile(key).public_key.hex()}
    assert told["evidence"]["sha256"] == sha256_of(record / "record.json")


def test_a_key_that_has_gone_is_no_fault_of_the_order(server, store, key):
    away = key.rename(key.with_suffix(".away"))
    try:
        where = store.at("/clip.mp4"), store.at("/out/unsigned.mp4")
        status, told = ask(server, *where, record=store.at("/out/unsigned.zip"), evidence=True)
    finally:
        away.rename(key)
    assert (status, told["detail"]) == (500, NOT_SIGNED)
    assert f"sign: key {key} cannot be read" in " ".join(server.log.read_text().split())
    assert not [name for name in store.files if "unsigned" in name]


def test_a_record_goes_where_it_is_told_and_is_signed(server, store, clip, work, key, tmp_path):
    place = store.at("/in.mp4"), store.at("/out/kept.mkv")
    store.files["/in.mp4"] = clip.read_bytes()
    status, told = ask(server, *place, record=store.at("/out/kept.zip"), evidence=True, case="2026/17")
    assert status == 200, told
    assert told["evidence"]["path"].endswith("/out/kept.zip")
    puts = [each.partition("?")[0] for each in store.asked if "kept" in each]
    assert puts == ["PUT /out/kept.zip", "PUT /out/kept.mkv"]  # no result without its record
    (tmp_path / "source.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "result.bin").write_bytes(store.files["/out/kept.mkv"])
    check_record(store.files["/out/kept.zip"], told, tmp_path, key)
    assert str(work) not in json.dumps(told)
    assert not list(work.glob("vsr-*"))


def test_a_record_lies_beside_its_result_in_a_bucket(bucket, server, clip, key, tmp_path):
    status, told = ask(server, "s3://tapes/in/clip.mp4", "s3://tapes/kept/clip.mp4", evidence=True)
    assert status == 200, told
    assert told["evidence"]["path"] == "s3://tapes/kept/clip.mp4.evidence.zip"
    import s3fs

    s3 = s3fs.S3FileSystem(endpoint_url=bucket["AWS_ENDPOINT_URL"], key="test", secret="test")
    assert sorted(s3.ls("tapes/kept", detail=False)) == [
        "tapes/kept/clip.mp4",
        "tapes/kept/clip.mp4.evidence.zip",
    ]
    (tmp_path / "source.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "result.bin").write_bytes(s3.cat("tapes/kept/clip.mp4"))
    check_record(s3.cat("tapes/kept/clip.mp4.evidence.zip"), told, tmp_path, key)


def test_a_record_that_cannot_be_is_refused_with_a_line(server, store):
    store.asked.clear()
    place = store.at("/clip.mp4"), store.at("/out/never.mp4")
    for wishes, said in (
        ({"evidence": True}, "needs an address of its own"),
        ({"record": store.at("/out/never.zip")}, "say"),
        ({"case": "of nothing"}, "give evidence"),
        ({"evidence": True, "record": "/etc/x.zip"}, "s3://BUCKET/KEY"),
    ):
        status, problem = ask(server, *place, **wishes)
        assert (status, said in problem["detail"]) == (422, True), problem
    assert not store.asked
    paints = {"model": "fast-sharp-x2", "evidence": True, "record": store.at("/out/never.zip")}
    status, problem = ask(server, *place, **paints)
    assert (status, "fast-sharp-x2 is generative" in problem["detail"]) == (422, True), problem
    assert not [each for each in store.asked if each.startswith("PUT")]


def test_what_goes_wrong_puts_nothing_and_is_one_line(server, store, work):
    store.files["/text.mp4"] = b"no video"
    store.leads_to = "ftp://127.0.0.1/clip.mp4"
    cases = {
        "/text.mp4": (422, "the input"),
        "/none.mp4": (422, "403"),
        "/clip.mp4/cut": (422, "was cut off"),
        "/large.mp4": (413, "1000001"),
        "/elsewhere": (422, "ftp://127.0.0.1"),
    }
    for path, (expected, said) in cases.items():
        status, problem = ask(server, store.at(path), store.at("/out/none.mp4"))
        assert (status, said in problem["detail"]) == (expected, True), problem
        assert "\n" not in problem["detail"]
        assert str(work) not in problem["detail"]
    assert "/out/none.mp4" not in store.files
    assert ask(server, store.at("/clip.mp4"), store.at("/x.mp4"), quality="much")[0] == 422
    assert ask(server, store.at("/clip.mp4"), store.at("/x.mp4"), also="small")[0] == 422
    assert not list(work.glob("vsr-*"))


def test_a_store_in_trouble_is_asked_again(server, store):
    status, problem = ask(server, store.at("/clip.mp4"), store.at("/full/clip.mp4"))
    assert (status, "507" in problem["detail"]) == (422, True), problem
    assert store.asked.count("PUT /full/clip.mp4?signature=secret") == 3


@pytest.mark.slow
def test_the_end_gives_up_what_cannot_end_in_time(tmp_path, store):
    long = write_clip(tmp_path / "long.mp4", ClipOptions(size=(360, 640), num_frames=2000))
    store.files["/long.mp4"] = long.read_bytes()
    words = ("--model", "base-x2", "--allow-private")
    with ThreadPoolExecutor() as asking:
        with container(tmp_path, *words, env={"TMPDIR": str(tmp_path)}) as server:
            asked = asking.submit(ask, server, store.at("/long.mp4"), store.at("/out/long.mp4"))
            wait_until(lambda: any(tmp_path.glob("vsr-*/*")))
        status, problem = asked.result(timeout=60)
    assert (status, "ends" in problem["detail"]) == (503, True), problem
    assert "/out/long.mp4" not in store.files
    assert not list(tmp_path.glob("vsr-*"))
