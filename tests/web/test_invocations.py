"""The container's contract, of a real process: pictures in and out, limits, and its end."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.archives import wait_until
from support.networks import tiny
from support.processes import begin_command
from support.web_server import WebServer, free_port

from vsr.errors import ConfigError
from vsr.models.files.checkpoint import save_network
from vsr.options import EnhanceOptions, ModelOptions
from vsr.web.invocations import with_model_of

PNG = {"Content_Type": "image/png"}
BICUBIC = {"X_Amzn_SageMaker_Custom_Attributes": "model=bicubic-x2"}


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    folder, port = tmp_path_factory.mktemp("container"), free_port()
    save_network(folder / "tiny.safetensors", tiny(2))
    words = ["--port", port, "--host", "127.0.0.1", "--model-folder", folder]
    process = begin_command("serve", *map(str, words), log=folder / "log")
    server = WebServer(process, f"http://127.0.0.1:{port}", folder / "log")
    wait_until(lambda: _answers(server))
    yield server
    began = time.monotonic()
    assert server.end() == 0
    assert time.monotonic() - began < 30


def _answers(server: WebServer) -> bool:
    try:
        return server.send("GET", "/ping")[0] == 200
    except OSError:
        return False


def picture(width: int = 32, height: int = 24) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def size_of(data: bytes) -> tuple[int, int]:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[:2]


def test_a_picture_is_enlarged_by_the_model_of_the_folder(container):
    status, headers, body = container.send("POST", "/invocations", picture(), **PNG)
    assert (status, headers["content-type"], body[:4]) == (200, "image/png", b"\x89PNG"), body
    assert size_of(body) == (48, 64)
    assert container.send("POST", "/invocations", picture(), **PNG, **BICUBIC)[2] != body


def test_accept_says_what_comes_back(container):
    beginnings = {
        "image/jpeg": b"\xff\xd8",
        "image/webp": b"RIFF",
        "text/html, image/tiff;q=0.5": b"II",
        "*/*": b"\x89PNG",
    }
    for accept, begins in beginnings.items():
        status, _, body = container.send("POST", "/invocations", picture(), Accept=accept, **PNG)
        assert (status, body[: len(begins)]) == (200, begins), accept
    assert size_of(
        container.send("POST", "/invocations", picture(), Content_Type="application/x-image")[2]
    ) == (48, 64)


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        (b"no picture", PNG, 422, "that is no picture"),
        (b"{}", {"Content_Type": "application/json"}, 415, "image/png"),
        (picture(), PNG | {"Accept": "text/html"}, 406, "image/png"),
        (b"\x89PNG" * 2_000_000, PNG, 413, "6291456"),
        (picture()[:200], PNG, 422, "the picture"),
        (picture(), PNG | {"X_Amzn_SageMaker_Custom_Attributes": "model=/etc/passwd"}, 422, "/v1/models"),
        (picture(), PNG | {"X_Amzn_SageMaker_Custom_Attributes": "scale=9"}, 422, "scale"),
    ],
)
def test_what_cannot_be_done_is_said(container, body, headers, status, said):
    answer = container.send("POST", "/invocations", body, **headers)
    assert (answer[0], answer[1]["content-type"]) == (status, "application/problem+json")
    assert said in json.loads(answer[2])["detail"]


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
