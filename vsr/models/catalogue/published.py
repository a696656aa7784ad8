"""Networks of others that have a name: what is known of each before its file is here, and where the file lies
then."""

import os
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Published:
    """One table of `published.toml`."""

    name: str
    purpose: str
    scale: int
    in_channels: Literal[1, 3]
    """1: luma alone. 3: RGB."""
    kflop_per_pixel: float
    """As `ModelSpec.kflop_per_pixel`."""
    licence: str
    file: str
    """Name of the file as its project gives it out."""
    num_bytes: int
    sha256: str
    set5: float | None = None
    """Y-PSNR in dB on Set5 at its scale, measured here; None where nobody has."""
    address: str = ""
    """Where the file is to be had; empty where it is only to be had by hand."""
    how: str = ""
    """How to get it by hand, where there is no address."""
    needs: str = ""
    """The extra without which it cannot be read, such as `onnx`."""
    num_frames: int = 1
    """Frames that it looks at."""
    latency: int = 0
    """Frames that must arrive after a frame before it can leave."""
    trained_on: str = ""

    @property
    def path(self) -> Path:
        """Where its file lies once it is installed."""
        return models_folder() / f"{self.name}{Path(self.file).suffix}"


def models_folder() -> Path:
    """Where pulled models lie: `$VSR_MODELS`, else `vsr/models` in the platform's folder for a user's
    data."""
    if chosen := os.environ.get("VSR_MODELS"):
        return Path(chosen).expanduser()
    if data := os.environ.get("XDG_DATA_HOME") or os.environ.get("LOCALAPPDATA"):
        return Path(data) / "vsr" / "models"
    data = "Library/Application Support" if sys.platform == "darwin" else ".local/share"
    return Path.home() / data / "vsr" / "models"


def find_published(name: str) -> Published | None:
    """The entry of that name."""
    return next((entry for entry in PUBLISHED if entry.name == name), None)


def _read(path: Path) -> tuple[Published, ...]:
    return tuple(Published(**table) for table in tomllib.loads(path.read_text(encoding="utf-8"))["model"])


PUBLISHED = _read(Path(__file__).with_suffix(".toml"))
"""In the order in which they are listed."""
