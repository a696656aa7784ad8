"""A file's whole way through a real server: the result is the command line's."""

import errno
import json
import os
from io import BytesIO
from urllib.parse import quote
from zipfile import ZipFile

import av
import cv2
import numpy as np
import pytest
from support.archives import wait_until
from support.clips import ClipOptions, write_clip
from support.web_server import WebServer

from vsr.cli.main import run
from vsr.durable import sha256_of
from vsr.errors import SinkError
from vsr.web.client import WebError
from vsr.web.results import zip_record

OPTIONS = {"model": ["bicubic-x2"], "preset": "ultrafast"}


def events(server: WebServer, path: str, **headers: str) -> list[dict]:
    """A stream until its end."""
    status, _, body = server.send("GET", path, **headers)
    assert status == 200
    blocks = [
        dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
        for block in body.decode().split("\n\n")[:-1]
    ]
    return [block | json.loads(block["data"]) for block in blocks if block]


def test_a_clip_comes_home_as_the_command_line_would_have_made_it(web_server, clip, tmp_path):
    client = web_server.client
    upload = client.upload(clip)
    assert client.get(f"/v1/uploads/{upload}")["complete"]
    job = client.order(upload, **OPTIONS)
    told = events(web_server, f"/v1/jobs/{job['id']}/events")
    states = [each["state"] for each in told if each["event"] == "state"]
    assert states == ["queued", "running", "succeeded"]
    assert all("id" not in each for each in told if each["event"] == "progress")

    done = client.get(f"/v1/jobs/{job['id']}")
    assert done["result"]["name"] == "two words_enhanced.mp4"
    client.save(job["id"], tmp_path / "web.mp4")
    words = [
        "enhance",
        str(clip),
        "-o",
        str(tmp_path / "cli.mp4"),
        "--model",
        "bicubic-x2",
        "--preset",
        "ultrafast",
        "--quiet",
    ]
    assert run(words) == 0
    assert (tmp_path / "web.mp4").read_bytes() == (tmp_path / "cli.mp4").read_bytes()

    report = client.get(f"/v1/jobs/{job['id']}/report")
    assert report["source"]["path"] == "two words.mp4"
    assert report["verification"]["passed"]
    assert "/data/" not in json.dumps(report)
    # What was told before is told again from where a client was, and then there is no more.
    last = [each["id"] for each in told if "id" in each]
    again = events(web_server, f"/v1/jobs/{job['id']}/events", Last_Event_ID=last[0])
    assert [each["id"] for each in again] == last[1:]
    assert web_server.send("GET", f"/v1/jobs/{job['id']}/events", Last_Event_ID=last[-1])[0] == 204


def test_a_record_comes_home_with_the_result_and_is_the_command_lines(web_server, clip, tmp_path):
    client = web_server.client
    job = client.order(client.upload(clip), **OPTIONS, evidence=True, case="2026/17")
    assert job["evidence"] is None
    with pytest.raises(WebError, match="has no record") as refused:
        client.save_record(job["id"], tmp_path / "early.zip")
    assert refused.value.status == 409
    job = client.wait(job["id"], every_s=0.05)
    assert job["state"] == "succeeded", job["error"]
    client.save(job["id"], tmp_path / "web.mp4")
    client.save_record(job["id"], tmp_path / "record.zip")
    assert web_server.send("GET", job["evidence"])[1]["content-type"] == "application/zip"
    with ZipFile(tmp_path / "record.zip") as packed:
        packed.extractall(tmp_path)
    record = tmp_path / "result.mp4.evidence"
    place = ["--source", str(clip), "--result", str(tmp_path / "web.mp4")]
    assert run(["evidence", "verify", str(record), *place]) == 0

    words = [
        "enhance",
        str(clip),
        "-o",
        str(tmp_path / "cli.mp4"),
        "--model",
        "bicubic-x2",
        "--preset",
        "ultrafast",
    ]
    assert run([*words, "--quiet", "--evidence", str(tmp_path / "cli"), "--case", "2026/17"]) == 0
    assert (record / "frames.txt").read_bytes() == (tmp_path / "cli" / "frames.txt").read_bytes()
    web, cli = (json.loads((folder / "record.json").read_text()) for folder in (record, tmp_path / "cli"))
    same = ("case", "frames", "models", "generative", "decided", "software", "processor", "lossy")
    assert [web[name] for name in same] == [cli[name] for name in same]
    assert [web[name]["sha256"] for name in ("source", "result")] == [
        cli[name]["sha256"] for name in ("source", "result")
    ]
    told = client.get(f"/v1/jobs/{job['id']}/report")["evidence"]
    sha256 = sha256_of(record / "record.json")
    assert told == {"folder": record.name, "sha256": sha256, "signer": None}
    assert job["signed_by"] is None
    assert "is not signed" in (record / "report.html").read_text()


def test_a_record_that_cannot_be_packed_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "a.mp4.evidence"
    folder.mkdir()
    (folder / "record.json").write_text("{}")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(ZipFile, "write", full)
        with pytest.raises(
            SinkError, match=r"record cannot be packed: No space left on device; retry the job"
        ):
            zip_record(folder, tmp_path / "record.zip")
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    zip_record(folder, tmp_path / "record.zip")  # as a retry does
    assert ZipFile(tmp_path / "record.zip").namelist() == ["a.mp4.evidence/record.json"]


def test_a_record_of_a_model_that_paints_is_refused_as_by_the_command_line(web_server, clip):
    client = web_server.client
    upload = client.upload(clip)
    wishes = {"model": "fast-sharp-x2", "evidence": True}
    job = client.wait(client.order(upload, **wishes)["id"], every_s=0.05)
    assert job["state"] == "failed"
    assert "fast-sharp-x2 is generative" in job["error"]
    with pytest.raises(WebError, match="give evidence"):
        client.order(upload, case="of nothing")
    place = f"/v1/uploads/{upload}/probe?options="
    with pytest.raises(WebError, match="fast-sharp-x2 is generative"):
        client.get(place + quote(json.dumps(wishes)))
    marked = client.get(place + quote(json.dumps(wishes | {"allow_generative": True})))
    assert marked["plan"]["models"] == [{"name": "fast-sharp-x2", "scale": 2}]


def test_what_is_looked_at_says_that_only_the_job_keeps_a_record(web_server, clip):
    client = web_server.client
    upload, said = client.upload(clip), "the job keeps a record of evidence; a preview keeps none"
    for options in (OPTIONS, OPTIONS | {"evidence": True, "case": "2026/17"}):
        told = [said] if "evidence" in options else []
        plan = client.get(f"/v1/uploads/{upload}/probe?options={quote(json.dumps(options))}")["plan"]
        assert [note for note in plan["notes"] if note == said] == told
        order = {"seconds": 0, "options": options}
        begun = json.loads(client.ask("POST", f"/v1/uploads/{upload}/previews", order)[1])
        assert begun["notes"] == told
        assert client.get(f"/v1/previews/{begun['id']}")["notes"] == told


def test_a_result_goes_out_in_parts_and_never_as_a_page(web_server, clip):
    client = web_server.client
    job = client.wait(client.order(client.upload(clip), **OPTIONS)["id"], every_s=0.05)
    path = f"/v1/jobs/{job['id']}/result"
    status, headers, body = web_server.send("GET", path)
    assert status == 200
    assert len(body) == job["result"]["bytes"]
    assert headers["content-disposition"] == "attachment; filename*=utf-8''two%20words_enhanced.mp4"
    assert headers["content-type"] == "video/mp4"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "sandbox; default-src 'none'"
    status, part, some = web_server.send("GET", path, Range="bytes=10-19")
    assert (status, some, part["content-range"]) == (206, body[10:20], f"bytes 10-19/{len(body)}")
    assert web_server.send("GET", path, Range="bytes=10-19", If_Range='"another"')[2] == body
    assert web_server.send("GET", path, If_None_Match=headers["etag"])[0] == 304
    assert web_server.send("GET", path, Range=f"bytes={len(body)}-")[0] == 416
    assert web_server.send("HEAD", path)[1]["content-length"] == str(len(body))

    client.ask("DELETE", f"/v1/jobs/{job['id']}")
    assert web_server.send("GET", path)[0] == 404


def test_what_is_in_a_file_and_what_would_be_done(web_server, clip):
    client = web_server.client
    upload = client.upload(clip)
    found = client.get(
        f"/v1/uploads/{upload}/probe?options=%7B%22scale%22%3A4%2C%22model%22%3A%22bicubic-x4%22%7D"
    )
    assert found["name"] == "two words.mp4"
    assert found["source"]["num_frames"] == 40
    assert (found["plan"]["width"], found["plan"]["models"][0]["name"]) == (
        4 * found["source"]["format"]["width"],
        "bicubic-x4",
    )
    assert found["plan"]["estimate"] is None
    assert found["free_bytes"] > 0


def test_a_file_is_looked_at_while_it_comes(web_server, tmp_path):
    whole = write_clip(tmp_path / "a.mkv", ClipOptions(num_frames=60)).read_bytes()
    about = {
        "Tus_Resumable": "1.0.0",
        "Upload_Length": str(len(whole)),
        "Upload_Metadata": "filename YS5ta3Y=",
    }
    body = {"Content_Type": "application/offset+octet-stream"}
    for come, status in {20: 409, len(whole) // 2: 200}.items():
        place = web_server.send("POST", "/v1/uploads", whole[:come], **about, **body)[1]["location"]
        answer = web_server.send("GET", f"{place}/probe")
        assert answer[0] == status, answer
        assert (
            web_server.send(
                "POST",
                "/v1/jobs",
                b'{"upload": "%s"}' % place[-16:].encode(),
                Content_Type="application/json",
            )[0]
            == 409
        )
        if status == 200:
            notes = json.loads(answer[2])["plan"]["notes"]
            assert any(note.startswith("a.mkv: ") for note in notes)
            assert not any("source.mkv" in note for note in notes)
        else:
            assert json.loads(answer[2])["detail"].startswith("not enough has come to tell: ")


def pictures_of(clip: bytes) -> list[tuple]:
    """Size and time of each picture of a clip that every browser plays."""
    with av.open(BytesIO(clip)) as file:
        stream = file.streams.video[0]
        assert [each.codec_context.name for each in file.streams] == ["h264"]
        assert stream.codec_context.pix_fmt == "yuv420p"
        return [(each.width, each.height, each.time) for each in file.decode(stream)]


def test_a_preview_shows_a_moment_before_and_after(web_server, clip):
    client = web_server.client
    upload = client.upload(clip)
    order = {"at": 0.8, "seconds": 0.4, "options": {"model": "bicubic-x2"}}
    preview = json.loads(client.ask("POST", f"/v1/uploads/{upload}/previews", order)[1])
    place = f"/v1/previews/{preview['id']}"
    sizes = []
    for name in ("before.png", "after.png", "support.png"):
        picture = cv2.imdecode(
            np.frombuffer(client.ask("GET", f"{place}/{name}")[1], np.uint8), cv2.IMREAD_COLOR
        )
        assert picture is not None
        sizes.append(picture.shape[1])
    assert sizes[1] == 2 * sizes[0]
    clips = [client.ask("GET", f"{place}/{name}.mp4")[1] for name in ("before", "after")]
    shown = [pictures_of(each) for each in clips]
    assert shown[0] == shown[1], "one lies over the other"
    assert len(shown[0]) == 10
    assert shown[0][0][:2] == (2 * 64, 2 * 48)
    assert clips[0] == clips[1], "before is enlarged without a network"
    for name, status in {
        "web.sqlite": 422,
        "../../web.sqlite": 404,
        "%2e%2e%2f%2e%2e%2fweb.sqlite": 404,
    }.items():
        assert web_server.send("GET", f"{place}/{name}")[0] == status


def test_a_picture_in_a_form_comes_back_as_png(web_server, tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    form = (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="../../a b.jpg"\r\n\r\n'
        + jpeg
        + b"\r\n--x--\r\n"
    )
    kind = "multipart/form-data; boundary=x"
    status, headers, body = web_server.send("POST", "/upscale?model=bicubic-x2", form, Content_Type=kind)
    assert (status, headers["content-type"]) == (200, "image/png"), body
    assert cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR).shape == (48, 64, 3)
    assert headers["content-disposition"] == "attachment; filename*=utf-8''a%20b_enhanced.png"

    no_picture = form.replace(jpeg, b"<html>")
    status, _, body = web_server.send("POST", "/upscale", no_picture, Content_Type=kind)
    assert (status, json.loads(body)["detail"]) == (
        415,
        "that is no picture; PNG, JPEG, WebP and TIFF are accepted",
    )
    kept = [f"/v1/{kind}" for kind in ("uploads", "jobs")]
    wait_until(
        lambda: not any(each["name"] == "a b" for path in kept for each in web_server.client.get(path))
    )


def test_a_file_that_cannot_be_read_fails_with_the_terminals_line(web_server, tmp_path, monkeypatch, capsys):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all" * 100)
    client = web_server.client
    job = client.wait(client.order(client.upload(broken))["id"], every_s=0.05)
    assert job["state"] == "failed"
    with pytest.raises(WebError) as refused:
        client.get(f"/v1/uploads/{job['upload']}/probe")
    monkeypatch.chdir(tmp_path)
    assert run(["enhance", broken.name]) == 1
    line = capsys.readouterr().err.strip().splitlines()[-1].removeprefix("error: ")
    assert job["error"] == str(refused.value) == line
    client.ask("POST", f"/v1/jobs/{job['id']}/retry")
    assert client.wait(job["id"], every_s=0.05)["state"] == "failed"


def test_options_are_the_keys_of_option_files_and_nothing_else(web_server, clip):
    client = web_server.client
    upload = client.upload(clip)
    wrong = {
        "scales": 2,
        "scale": 9,
        "quality": 101,
        "model": "/etc/passwd",
        "also": "_x.mp4",
        "cluster": "local",
        "workers": 4096,
        "crop_top": "3",
    }
    for key, value in wrong.items():
        with pytest.raises(WebError, match=key.replace("_", ".")) as refused:
            client.order(upload, **{key: value})
        assert refused.value.status == 422
    assert not [job for job in client.get("/v1/jobs") if job["upload"] == upload]


def test_the_same_order_twice_is_one_job(web_server, clip):
    client = web_server.client
    upload = client.upload(clip)
    order = {"upload": upload, "options": OPTIONS}
    first, second = (
        json.loads(client.ask("POST", "/v1/jobs", order, Idempotency_Key="k")[1]) for _ in range(2)
    )
    assert first["id"] == second["id"]
    with pytest.raises(WebError, match="Idempotency-Key"):
        client.ask("POST", "/v1/jobs", {"upload": upload}, Idempotency_Key="k")
    client.wait(first["id"], every_s=0.05)
    with pytest.raises(WebError, match="succeeded"):
        client.ask("POST", f"/v1/jobs/{first['id']}/pause")
    with pytest.raises(WebError, match="needs this upload"):
        client.ask("DELETE", f"/v1/uploads/{upload}")


def test_every_path_is_described_and_shown_without_a_script(web_server):
    described = web_server.client.get("/openapi.json")
    assert described["openapi"].startswith("3.1")
    options = described["components"]["schemas"]["JobOrder"]["properties"]["options"]
    assert options["additionalProperties"] is False
    assert options["properties"]["scale"]["enum"] == ["auto", 1, 2, 3, 4]
    assert options["properties"]["quality"]["description"].startswith("0 to 100")
    page = web_server.send("GET", "/docs")[2].decode()
    assert all(
        f"{method.upper()} {path}" in page for path, each in described["paths"].items() for method in each
    )
    assert "<script" not in page
    assert "https:" not in page


def test_metrics_count_what_is_there(web_server, clip):
    before = web_server.send("GET", "/metrics")[2].decode()
    web_server.client.upload(clip)
    after = web_server.send("GET", "/metrics")[2].decode()
    values = [
        float(next(line for line in text.splitlines() if line.startswith("vsr_web_uploads ")).split()[1])
        for text in (before, after)
    ]
    assert values[1] == values[0] + 1
    assert 'vsr_web_jobs{state="queued"}' in after
