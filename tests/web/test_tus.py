"""Uploads by tus 1.0: its rules, cuts at any byte, clients that come back, and how large and how many."""

import asyncio
import base64
import random
import socket
import sqlite3
import time
from contextlib import closing, suppress

import pytest
from support.archives import wait_until
from support.web_server import WebServer

from vsr.jobs import free_bytes
from vsr.web.data_folder import DataFolder
from vsr.web.problems import ProblemError
from vsr.web.store import Store
from vsr.web.uploads import Uploads
from vsr.web.web_options import WebOptions
from vsr.web.workshop import Workshop

TUS = {"Tus_Resumable": "1.0.0"}
BODY = {"Content_Type": "application/offset+octet-stream"}


def begin(server: WebServer, length: int, name: str = "clip.mp4", **headers: str) -> str:
    label = base64.b64encode(name.encode()).decode()
    status, said, body = server.send(
        "POST",
        "/v1/uploads",
        Upload_Length=str(length),
        Upload_Metadata=f"filename {label},x",
        **TUS,
        **headers,
    )
    assert status == 201, body
    assert said["tus-resumable"] == "1.0.0"
    return said["location"]


def bring(server: WebServer, place: str, offset: int, data: bytes, **headers: str) -> tuple[int, dict, bytes]:
    return server.send("PATCH", place, data, Upload_Offset=str(offset), **(TUS | BODY | headers))


def offset(server: WebServer, place: str) -> int:
    status, said, _ = server.send("HEAD", place, **TUS)
    assert status == 200
    assert said["cache-control"] == "no-store"
    return int(said["upload-offset"])


def test_what_is_spoken(web_server):
    status, said, _ = web_server.send("OPTIONS", "/v1/uploads")
    assert (status, said["tus-version"], said["tus-max-size"]) == (204, "1.0.0", "250000000")
    assert said["tus-extension"] == "creation,creation-with-upload,expiration,termination"


def test_an_upload_comes_piece_by_piece(web_server):
    place = begin(web_server, 10)
    assert offset(web_server, place) == 0
    status, said, _ = bring(web_server, place, 0, b"01234")
    assert (status, said["upload-offset"]) == (204, "5")
    assert said["upload-expires"].endswith(" GMT")
    assert bring(web_server, place, 4, b"4")[0] == bring(web_server, place, 6, b"6")[0] == 409
    assert bring(web_server, place, 5, b"56789?")[0] == 413
    assert offset(web_server, place) == 5
    said = web_server.send(
        "POST", place, b"56789", X_HTTP_Method_Override="PATCH", Upload_Offset="5", **TUS, **BODY
    )
    assert (said[0], said[1]["upload-offset"]) == (204, "10")
    assert web_server.client.get(place)["complete"]
    assert bring(web_server, place, 10, b"")[0] == 204  # a client that has not heard of the end
    assert web_server.send("DELETE", place, **TUS)[0] == 204
    assert [web_server.send(method, place, **TUS)[0] for method in ("HEAD", "DELETE")] == [404, 404]
    assert bring(web_server, place, 0, b"")[0] == 404


def test_the_first_bytes_come_with_the_creation(web_server):
    said = web_server.send("POST", "/v1/uploads", b"abc", Upload_Length="5", **TUS, **BODY)
    assert (said[0], said[1]["upload-offset"]) == (201, "3")
    empty = begin(web_server, 0)
    assert web_server.client.get(empty)["complete"]


def test_what_is_wrong_is_said(web_server):
    place = begin(web_server, 3)
    cases = [
        (("POST", "/v1/uploads", None), {"Upload_Length": "3"}, 412),
        (("POST", "/v1/uploads", None), {"Upload_Length": "3", "Tus_Resumable": "0.2.2"}, 412),
        (("POST", "/v1/uploads", None), TUS, 400),
        (("POST", "/v1/uploads", None), TUS | {"Upload_Length": "-3"}, 400),
        (("POST", "/v1/uploads", None), TUS | {"Upload_Defer_Length": "1"}, 400),
        (("POST", "/v1/uploads", None), TUS | {"Upload_Length": "3", "Upload_Metadata": "filename ?"}, 400),
        (("POST", "/v1/uploads", None), TUS | {"Upload_Length": "250000001"}, 413),
        (("POST", "/v1/uploads", None), TUS | {"Upload_Length": "9" * 30}, 400),
        (("PATCH", place, b"abc"), TUS | {"Upload_Offset": "0", "Content_Type": "video/mp4"}, 415),
        (("PATCH", place, b"abc"), TUS | BODY, 400),
        (("PATCH", place, b"abc"), BODY | {"Upload_Offset": "0"}, 412),
        (("HEAD", place, None), {}, 412),
        (("POST", place, b"abc"), TUS | {"X_HTTP_Method_Override": "PUT"}, 405),
    ]
    for request, headers, status in cases:
        answer = web_server.send(*request, **headers)
        assert answer[0] == status, (request, headers, answer)
        if status == 412:
            assert answer[1]["tus-version"] == "1.0.0"
    assert offset(web_server, place) == 0


def head(server: WebServer, place: str, at: int, length: int) -> bytes:
    lines = [
        f"PATCH {place} HTTP/1.1",
        f"Host: {server.host}",
        "Tus-Resumable: 1.0.0",
        f"Upload-Offset: {at}",
    ]
    lines += [f"Content-Type: {BODY['Content_Type']}", f"Content-Length: {length}", "", ""]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    ("num_bytes", "num_cuts"), [(4_000_000, 20), pytest.param(200_000_000, 50, marks=pytest.mark.slow)]
)
def test_cut_at_any_byte_it_goes_on_and_is_the_same(web_server, num_bytes, num_cuts):
    chance = random.Random(7)
    data = chance.randbytes(num_bytes)
    place, cuts = begin(web_server, len(data)), 0
    host, port = web_server.host.split(":")
    end = time.monotonic() + 300
    while (at := offset(web_server, place)) < len(data):  # what was under way at a cut may have come, or not
        assert time.monotonic() < end
        promised = len(data) - at
        sent = min(chance.randrange(1, 2 * num_bytes // num_cuts), promised)
        with socket.create_connection((host, int(port))) as line:
            line.sendall(head(web_server, place, at, promised) + data[at : at + sent])
            if sent == promised:
                line.recv(1000)
            time.sleep(0.03)
        cuts += sent < promised
    assert cuts >= num_cuts // 2
    upload = place.rpartition("/")[2]
    kept = next((web_server.log.parent / "data" / "uploads" / upload).glob("source*"))
    assert kept.read_bytes() == data


def test_who_comes_back_goes_on_although_the_old_connection_hangs(web_server):
    place = begin(web_server, 1000)
    host, port = web_server.host.split(":")
    with socket.create_connection((host, int(port))) as hanging:
        hanging.sendall(head(web_server, place, 0, 1000) + b"a" * 100)
        wait_until(lambda: _can_bring(web_server, place))
        assert web_server.client.get(place)["complete"]
        hanging.settimeout(20)
        with suppress(OSError):
            assert b" 409 " in hanging.recv(1000)


def _can_bring(server: WebServer, place: str) -> bool:
    there = int(server.send("HEAD", place, **TUS)[1]["upload-offset"])
    return bring(server, place, there, b"b" * (1000 - there))[0] == 204


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "C:\\x\\..\\clip.mp4", "a\x00b\n.mp4", "", ".", "ü" * 400]
)
def test_a_name_is_a_label(web_server, name):
    place = begin(web_server, 1, name)
    label = web_server.client.get(place)["name"]
    assert label
    assert not set("/\\\x00\n") & set(label)
    assert len(label) <= 200
    kept = (web_server.log.parent / "data" / "uploads" / place.rpartition("/")[2]).iterdir()
    assert [path.name for path in kept] in (["source"], ["source.mp4"])


def test_there_are_no_more_than_wanted_or_than_the_disk_holds(tmp_path):
    with closing(DataFolder(tmp_path)) as data, closing(Store(data.database)) as store:
        uploads = Uploads(data, store, WebOptions(max_files=2, max_gb=1e5))
        half = free_bytes(tmp_path) // 2
        first = uploads.create("a.mp4", half)
        with pytest.raises(ProblemError, match="no room") as refused:
            uploads.create("b.mp4", half)  # the first one's bytes are promised, and have not come
        assert refused.value.status == 507
        uploads.create("b.mp4", 1)
        with pytest.raises(ProblemError, match="no more are kept"):
            uploads.create("c.mp4", 1)
        asyncio.run(uploads.remove(first))
        uploads.create("c.mp4", 1)


def test_what_has_expired_goes_unless_a_job_needs_it(tmp_path):
    with closing(DataFolder(tmp_path)) as data, closing(Store(data.database)) as store:
        workshop = Workshop(data, store, WebOptions(keep="1h"))
        old, young, needed = (
            workshop.uploads.create(f"{name}.mp4", 0) for name in ("old", "young", "needed")
        )
        job = workshop.order(needed, {})
        for upload in (old, needed):
            store.touch(upload.id, time.time() - 3601)
        workshop.tidy()
        assert {upload.id for upload in store.uploads()} == {young.id, needed.id}
        assert not workshop.uploads.path(old).parent.exists()

        store.take("videos")
        store.finish(job.id, "failed", "", None)
        with closing(sqlite3.connect(data.database)) as db, db:
            db.execute("update jobs set ended_s = ended_s - 3601")
        workshop.tidy()
        assert not store.jobs()
        assert {upload.id for upload in store.uploads()} == {young.id, needed.id}, (
            "it counts from the job's end"
        )
