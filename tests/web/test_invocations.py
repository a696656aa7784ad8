"""The container's contract, of a real process: pictures in and out, limits, and its end."""

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.archives import wait_until
from support.container import container
from support.networks import tiny
from support.processes import begin_command
from support.web_server import WebServer, free_port

from vsr.errors import ConfigError
from vsr.models.files.checkpoint import save_network
from vsr.options import EnhanceOptions, ModelOptions
from vsr.web.invocations import with_model_of

PNG = {"Content_Type": "image/png"}
JSON = {"Content_Type": "application/json"}
BICUBIC = {"X_Amzn_SageMaker_Custom_Attributes": "model=bicubic-x2"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    folder = tmp_path_factory.mktemp("container")
    save_network(folder / "tiny.safetensors", tiny(2))
    with container(folder, "--model-folder", folder, "--max-mb", "6") as server:
        yield server


def picture(width: int = 32, height: int = 24) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def size_of(data: bytes) -> tuple[int, int]:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[:2]


def test_a_picture_is_enlarged_by_the_model_of_the_folder(server):
    status, headers, body = server.send("POST", "/invocations", picture(), **PNG)
    assert (status, headers["content-type"], body[:4]) == (200, "image/png", b"\x89PNG"), body
    assert size_of(body) == (48, 64)
    assert server.send("POST", "/invocations", picture(), **PNG, **BICUBIC)[2] != body


def test_accept_says_what_comes_back(server):
    beginnings = {
        "image/jpeg": b"\xff\xd8",
        "image/webp": b"RIFF",
        "text/html, image/tiff;q=0.5": b"II",
        "*/*": b"\x89PNG",
    }
    for accept, begins in beginnings.items():
        status, _, body = server.send("POST", "/invocations", picture(), Accept=accept, **PNG)
        assert (status, body[: len(begins)]) == (200, begins), accept
    assert size_of(server.send("POST", "/invocations", picture(), Content_Type="application/x-image")[2]) == (
        48,
        64,
    )


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        (b"no picture", PNG, 422, "that is no picture"),
        (
            picture(),
            PNG | {"X_Amzn_SageMaker_Custom_Attributes": "evidence=true"},
            422,
            "an order by addresses",
        ),
        (b"{}", {"Content_Type": "text/html"}, 415, "image/png"),
        (b"{}", JSON, 422, "input is missing"),
        (b'{"input": "s3://a/b", "output": "/etc/passwd"}', JSON, 422, "s3://BUCKET/KEY"),
        (b'{"input": "s3://a/b", "output": "s3://a/c", "options": {"log": 1}}', JSON, 422, "not known"),
        (b'{"input": "https://127.0.0.1/a", "output": "s3://a/c"}', JSON, 422, "not public"),
        (b"[" * 70_000, JSON, 413, "65536"),
        (picture(), PNG | {"Accept": "text/html"}, 406, "image/png"),
        (b"\x89PNG" * 2_000_000, PNG, 413, "asynchronous"),
        (picture()[:200], PNG, 422, "the input"),
        (picture(), PNG | {"X_Amzn_SageMaker_Custom_Attributes": "model=/etc/passwd"}, 422, "vsr models"),
        (picture(), PNG | {"X_Amzn_SageMaker_Custom_Attributes": "scale=9"}, 422, "scale"),
    ],
)
def test_what_cannot_be_done_is_said(server, body, headers, status, said):
    answer = server.send("POST", "/invocations", body, **headers)
    assert (answer[0], answer[1]["content-type"]) == (status, "application/problem+json")
    assert said in json.loads(answer[2])["detail"]


def test_options_of_a_request_stand_over_those_of_the_server(server):
    wanted = PNG | {"X_Amzn_SageMaker_Custom_Attributes": "self_ensemble=true"}
    turned, plain = (
        server.send("POST", "/invocations", picture(), **headers)[2] for headers in (wanted, PNG)
    )
    assert size_of(turned) == size_of(plain)
    assert turned != plain
    assert turned != server.send("POST", "/invocations", picture(), **PNG, **BICUBIC)[2]


def test_the_usual_client_is_answered(server):
    """As clients of SageMaker's PyTorch handlers ask: bytes of a JPEG, and no Accept that says much."""
    photo = cv2.imencode(".jpg", cv2.imdecode(np.frombuffer(picture(), np.uint8), cv2.IMREAD_COLOR))[
        1
    ].tobytes()
    request = urllib.request.Request(
        f"{server.address}/invocations", data=photo, headers={"Content-Type": "image/jpeg"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert (answer.status, size_of(answer.read())) == (200, (48, 64))


@pytest.mark.slow
def test_a_picture_under_way_is_answered_before_the_end(tmp_path: Path):
    with (
        container(tmp_path, "--model", "bicubic-x2", env={"TMPDIR": str(tmp_path)}) as server,
        ThreadPoolExecutor() as asking,
    ):
        under_way = asking.submit(server.send, "POST", "/invocations", picture(1600, 1200), **PNG)
        wait_until(lambda: any(tmp_path.glob("vsr-*/input")))
        server.process.terminate()
        status, _, body = under_way.result(timeout=60)
        assert (status, size_of(body)) == (200, (2400, 3200))


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_ends_it_with_a_line(tmp_path: Path):
    (tmp_path / "broken.safetensors").write_bytes(b"no network")
    words = ["--host", "127.0.0.1", "--port", str(free_port()), "--model-folder", tmp_path]
    process = begin_command("serve", *words, log=tmp_path / "log")
    process.join(60)
    assert process.exitcode == 1
    assert "broken.safetensors" in (tmp_path / "log").read_text()


def test_a_folder_with_several_models_wants_one_named(tmp_path: Path):
    options = EnhanceOptions()
    assert with_model_of(tmp_path / "none", options) == options
    (tmp_path / "a.pth").touch()
    assert with_model_of(tmp_path, options).models.model == (str(tmp_path / "a.pth"),)
    (tmp_path / "b.onnx").touch()
    with pytest.raises(ConfigError, match=r"a\.pth, b\.onnx"):
        with_model_of(tmp_path, options)
    named = EnhanceOptions(models=ModelOptions(model=("fast-x2",)))
    assert with_model_of(tmp_path, named) == named
