"""A clip that was enhanced with a record, made once and copied."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.clips import ClipOptions, write_clip

from vsr.cli.main import run

FLAGS = ["--model", "nano-x2", "--preset", "ultrafast", "--threads", "1", "--quiet"]


@dataclass
class Recorded:
    """Source, result and record in a folder."""

    root: Path

    @property
    def source(self) -> Path:
        return self.root / "in.mp4"

    @property
    def result(self) -> Path:
        return self.root / "out.mp4"

    @property
    def folder(self) -> Path:
        return self.root / "evidence"

    @property
    def files(self) -> dict[str, Path]:
        """Everything that stands for itself, by name."""
        return {path.name: path for path in (self.source, self.result, *sorted(self.folder.iterdir()))}

    def copied(self, root: Path) -> "Recorded":
        return Recorded(Path(shutil.copytree(self.root, root)))


@pytest.fixture(scope="session")
def original(tmp_path_factory) -> Recorded:
    made = Recorded(tmp_path_factory.mktemp("recorded"))
    write_clip(made.source, ClipOptions(num_frames=12, gop=4, audio=True))
    assert run(["evidence", "key", str(made.root / "lab.pem")]) == 0
    words = ["enhance", str(made.source), "-o", str(made.result), "--evidence", str(made.folder), *FLAGS]
    words += ["--support", ".json", "--support", "_map.mkv"]
    assert run([*words, "--case", "2026/17", "--sign", str(made.root / "lab.pem")]) == 0
    return made


@pytest.fixture
def recorded(original, tmp_path) -> Recorded:
    return original.copied(tmp_path / "recorded")
