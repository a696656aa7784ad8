"""Fixtures of all tests. Plain functions that tests share are in `support/`.

PyTorch is loaded where it is needed, for the process that only hands out tests to workers needs none.
"""

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from support.clips import ClipOptions, add_extras, write_clip
from support.http_shelf import HttpShelf, serving

from vsr.durable import sha256_of
from vsr.models import ModelFacts
from vsr.models.catalogue import download, model_facts

# A shell that starts the tests in the background makes them ignore Ctrl-C, and the programs that they start too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# One FFmpeg everywhere, in one file: a system's, of two hundred libraries, takes ten times as long to start, and tests
# start it again and again. `.ci/run` names the system's for those that encode.
os.environ.setdefault("VSR_FFMPEG", imageio_ffmpeg.get_ffmpeg_exe())

# Workers on every core: more threads in each, or in what they start, would only wait for one another. PyTorch looks
# here when it is loaded.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    """Factory of clips: `make_clip("a.mkv", num_frames=5, codec="ffv1", ...)`; the keywords are `ClipOptions`."""

    def make(name: str = "clip.mp4", **options: Any) -> Path:
        clip = replace(ClipOptions(), **options)
        path = write_clip(tmp_path / name, clip)
        return add_extras(path, clip) if clip.subtitles or clip.attachment else path

    return make


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of test material; `VSR_TEST_DATA`, else `../shared/data` beside the repository."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("VSR_TEST_DATA") or root.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no test data at {folder}; set VSR_TEST_DATA")
    return folder


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Path:
    """A catalogue of networks made here: `tiny` at x2 and x4, `tiny-real` at x2 alone, `deblur` at x1."""
    from support.networks import tiny

    from vsr.models.files.checkpoint import save_network

    nets = {
        ("tiny", 2): tiny(2),
        ("tiny", 4): tiny(4),
        ("tiny-real", 2): tiny(2, seed=1),
        ("deblur", 1): tiny(1),
    }
    entries = [facts for facts in model_facts.BUILT_IN if not facts.sha256]
    for (tier, scale), net in nets.items():
        path = tmp_path / f"{tier}-x{scale}.safetensors"
        save_network(path, net)
        entries.append(ModelFacts(path.stem, scale, "luma", tier=tier, sha256=sha256_of(path)))
    monkeypatch.setattr(model_facts, "WEIGHTS", tmp_path)
    monkeypatch.setattr(model_facts, "BUILT_IN", tuple(entries))
    monkeypatch.setattr("vsr.models.catalogue.choice.DEFAULT_TIER", {"cpu": "tiny", "cuda": "tiny"})
    return tmp_path


@pytest.fixture
def cuda() -> str:
    """A GPU to run on; skips, or with VSR_REQUIRE_GPU=1 fails, where there is none."""
    import torch

    if not torch.cuda.is_available():
        if os.environ.get("VSR_REQUIRE_GPU") == "1":
            pytest.fail("VSR_REQUIRE_GPU=1 and there is no CUDA device")
        pytest.skip("no CUDA device")
    return "cuda"


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    """The file of `entry`."""
    from support.networks import tiny

    from vsr.models.files.checkpoint import save_network

    save_network(tmp_path / "theirs.safetensors", tiny(2))
    return (tmp_path / "theirs.safetensors").read_bytes()


@pytest.fixture
def server(content: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpShelf]:
    """Gives out the file of `entry`, as it is told to."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSES_S", (0.0, 0.0, 0.0))
    with serving({"/v1/theirs.safetensors": content}) as shelf:
        yield shelf


@pytest.fixture
def entry(server: HttpShelf, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelFacts:
    """The only model of others that there is: a tiny network."""
    monkeypatch.setenv("VSR_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("VSR_MODELS_MIRROR", raising=False)
    entry = ModelFacts(
        name="theirs-x2",
        purpose="tests",
        scale=2,
        sees="luma",
        kflop_per_pixel=1,
        licence="WTFPL",
        file="theirs.safetensors",
        num_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        address=f"{server.address}/v1/theirs.safetensors",
    )
    monkeypatch.setattr(model_facts, "PUBLISHED", (entry,))
    return entry
