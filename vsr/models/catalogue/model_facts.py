"""The one record of what is known of each model that has a name, ours or of
others: from two tables, without PyTorch.

Lists, cards and what `load` gives are made from it. Nothing is scanned.
"""

import os
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vsr.durable import sha256_of
from vsr.errors import ModelError

WEIGHTS = Path(__file__).parents[1] / "weights"
"""Built-in weights, each with its model card."""

SPEEDS = ((25.0, "live"), (200.0, "fast"), (2000.0, "slow"), (float("inf"), "GPU"))
"""Classes by KFLOP per input pixel. `live` is video speed at 640x360 on two
CPU cores, `slow` seconds a frame."""

Group = Literal["clean video", "real footage", "photographs", "animation", "blur"]
"""What the dozen that most people need are for."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """All that is known of a model; what is not is empty or None."""

    name: str
    scale: int
    sees: Literal["luma", "RGB", "luma and chroma"]
    purpose: str = ""
    group: Group | Literal[""] = ""
    """Of the dozen that are listed first; empty for the rest."""
    kflop_per_pixel: float = 0
    """As `ModelSpec.kflop_per_pixel`."""
    num_frames: int = 1
    """Frames that one step looks at."""
    remembers: bool = False
    """Carries a state from frame to frame."""
    latency: int = 0
    """Frames that must arrive after a frame before it can leave."""
    set5: float | None = None
    """Y-PSNR in dB on Set5 at its scale, measured here; None where nobody has."""
    int8_loss: float | None = None
    """dB of Y-PSNR that int8 costs at most, by docs/performance.md; None where nobody has measured."""
    generative: bool = False
    """Paints detail that is not in the source."""
    licence: str = "MIT"
    trained_on: str = ""
    sha256: str = ""
    """Empty for a model without a file."""
    num_bytes: int | None = None
    file: str = ""
    """Of others: the name of the file as its project gives it out. Of our own: the stem of the file that several
    of a tier share; empty where each has its own."""
    address: str = ""
    """Where the file is to be had; empty where it is only to be had by hand."""
    how: str = ""
    """How to get it by hand, where there is no address."""
    needs: str = ""
    """The extra without which it cannot be read, such as `onnx`."""
    network: str = ""
    """As `ModelSpec.network`. This and what follows: empty for those of others until they are read."""
    parameters: int | None = None
    tiles: str = ""
    """`exact` with the pixels they overlap by, or `bounded`: seams are small and not nothing."""
    size_multiple: int | None = None
    precisions: tuple[str, ...] = ()
    tier: str = ""
    """Of our own: the name without its scale."""
    card: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of our own: what its card says besides, by row."""
    place: Path | None = None
    """Where the file lies that is known by its path alone."""

    @property
    def path(self) -> Path:
        """Where its file lies, or will once it is installed."""
        if self.tier:
            return WEIGHTS / f"{self.file or self.name}.safetensors"
        return self.place or models_folder() / f"{self.name}{Path(self.file).suffix}"

    @property
    def state(self) -> Literal["installed", "not installed", "damaged"]:
        """Whether its file is there and what the table says, which is hashed for that."""
        if self.place or not self.sha256:
            return "installed"
        if not self.path.is_file():
            return "not installed"
        return "installed" if is_sound(self.path, self.sha256) else "damaged"

    @property
    def speed(self) -> str:
        """One of `SPEEDS`; empty where the cost is not known."""
        if not self.kflop_per_pixel and self.name != "identity":
            return ""
        return next(word for most, word in SPEEDS if self.kflop_per_pixel <= most)


@dataclass(frozen=True, slots=True)
class KnownSystem:
    """A network of others that the field knows by name."""

    name: str
    network: str
    """What `ModelSpec.network` says of its files."""
    kind: Literal["picture", "video"]
    licence: str
    """Of the weights that its authors, or for the oldest those whose layout became usual, give out."""
    reader: Literal["", "spandrel", "ONNX", "TensorFlow"] = ""
    """What reads it besides PyTorch's own files."""


def is_sound(path: Path, sha256: str) -> bool:
    """Whether the file is there and is what the table says."""
    return path.is_file() and sha256_of(path) == sha256


def models_folder() -> Path:
    """Where pulled models lie: `$VSR_MODELS`, else `vsr/models` in the
    platform's folder for a user's data."""
    if chosen := os.environ.get("VSR_MODELS"):
        return Path(chosen).expanduser()
    if data := os.environ.get("XDG_DATA_HOME") or os.environ.get("LOCALAPPDATA"):
        return Path(data) / "vsr" / "models"
    data = "Library/Application Support" if sys.platform == "darwin" else ".local/share"
    return Path.home() / data / "vsr" / "models"


def all_models() -> tuple[ModelFacts, ...]:
    """The whole catalogue: ours, then those of others in the order of their table."""
    return (*BUILT_IN, *PUBLISHED)


def find_model(name: str) -> ModelFacts | None:
    """The facts of a name; None where no model has it."""
    return next((facts for facts in all_models() if facts.name == name), None)


def to_fetch(wanted: Iterable[str]) -> list[ModelFacts]:
    """Those of others, of what a user names, whose files are not here."""
    found = (find_model(name) for name in dict.fromkeys(wanted))
    return [facts for facts in found if facts and not facts.tier and not facts.path.is_file()]


def not_installed(facts: ModelFacts) -> ModelError:
    """What is said of a model that has yet to be fetched."""
    command = f"vsr models pull {facts.name}"
    return ModelError(f"{facts.name} is not installed; `{command}` installs it ({facts.licence})")


def names() -> list[str]:
    """Every name of our own, without `identity`'s other spellings."""
    return [facts.name for facts in BUILT_IN]


def tiers() -> dict[str, tuple[int, ...]]:
    """The scales at which each tier comes."""
    found: dict[str, tuple[int, ...]] = {}
    for facts in BUILT_IN:
        if facts.tier != facts.name:
            found[facts.tier] = (*found.get(facts.tier, ()), facts.scale)
    return found


def licences_of(network: str) -> str:
    """The terms under which weights of such a network are given out by those who are known for it.

    Args:
        network: as `ModelSpec.network`.

    Returns:
        Such as `Apache-2.0 (ESRGAN), BSD-3-Clause (Real-ESRGAN x4plus)`; empty for graphs, which may be
        anything, and for networks that none of `SYSTEMS` is.
    """
    if network.endswith("graph"):
        return ""
    first: dict[str, str] = {}
    for system in SYSTEMS:
        if system.network == network:
            first.setdefault(system.licence, system.name)
    return ", ".join(f"{licence} ({name})" for licence, name in first.items())


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))


def _ours(tier: dict[str, Any]) -> Iterator[ModelFacts]:
    """The models of one tier, each with what they share."""
    for model in tier.pop("model"):
        card = tier.get("card", {}) | model.get("card", {})
        table: dict[str, Any] = {"name": f"{tier['tier']}-x{model['scale']}", "size_multiple": 1}
        table |= tier | model | {"card": card, "precisions": tuple(tier["precisions"])}
        yield ModelFacts(**table)


_OWN, _OTHERS = _table("own.toml"), _table("others.toml")

LEARNT_FROM: dict[str, str] = _OWN["learnt_from"]
"""What `trained_on` says in short, as the cards have it."""

BUILT_IN = tuple(facts for tier in _OWN["tier"] for facts in _ours(tier))
"""Those of our own that lie in the package or need no file, in the order in which they are listed."""

SYSTEMS = tuple(KnownSystem(**system) for system in _OTHERS["system"])

_LICENCES = {system.name: system.licence for system in SYSTEMS}

PUBLISHED = tuple(ModelFacts(licence=_LICENCES[model.pop("system")], **model) for model in _OTHERS["model"])
"""Those of others that can be installed, in the order in which they are listed."""
