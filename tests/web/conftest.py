"""One server for tests that leave it as it is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra `web`")
pytest.importorskip("uvicorn", reason="needs the extra `web`")

from support.clips import ClipOptions, write_clip
from support.web_server import WebServer, web


@pytest.fixture(scope="session")
def web_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with web(tmp_path_factory.mktemp("web"), "--max-gb", "0.25", "--private-webhooks") as server:
        yield server


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty frames of 64x48."""
    return write_clip(tmp_path_factory.mktemp("clips") / "two words.mp4", ClipOptions(num_frames=40))
