"""What is known of a model, ours or of others, installed or not, for lists and cards."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import nn

from vsr.errors import ModelError
from vsr.models.catalogue import published
from vsr.models.catalogue.names import BASELINES, BUILT_IN, SCALES, WEIGHTS, BuiltIn, load
from vsr.models.catalogue.published import Published, find_published
from vsr.models.catalogue.pull import is_sound
from vsr.models.catalogue.systems import licences_of
from vsr.models.spec import Model, ModelSpec

PURPOSES = {
    "identity": "changes nothing",
    "bicubic": "baseline without a network",
    "lanczos": "baseline without a network, sharper",
    "nano": "the slowest machines",
    "fast": "video on a CPU",
    "base": "video on a GPU, photos",
    "large": "the last tenths",
    "video": "clean video at its best",
    "deblur": "pictures out of focus",
    "fast-real": "compressed or noisy video on a CPU",
    "base-real": "compressed or noisy video on a GPU",
    "video-real": "compressed or noisy video at its best",
}
"""What each tier of our own is for."""

_BASELINE_SET5 = {"bicubic": (33.97, 30.63, 28.63), "lanczos": (34.32, 30.83, 28.81)}
"""Y-PSNR in dB at `SCALES`."""

SPEEDS = ((25.0, "live"), (200.0, "fast"), (2000.0, "slow"), (float("inf"), "GPU"))
"""Classes by KFLOP per input pixel. `live` is video speed at 640x360 on two CPU cores, `slow` seconds a
frame."""


@dataclass(frozen=True, slots=True)
class Card:
    """All that is known; what is not is empty or None."""

    name: str
    purpose: str
    scale: int
    sees: str
    """`luma` or `RGB`."""
    num_frames: int
    """Frames that one step looks at."""
    remembers: bool
    """Carries a state from frame to frame."""
    latency: int
    """Frames that must arrive after a frame before it can leave."""
    kflop_per_pixel: float
    set5: float | None
    """Y-PSNR in dB, measured here."""
    licence: str
    sha256: str
    num_bytes: int | None = None
    state: Literal["installed", "not installed", "damaged"] = "installed"
    path: str = ""
    """Where its file lies, or will."""
    address: str = ""
    how: str = ""
    """How to get it by hand, where there is no address."""
    needs: str = ""
    """The extra that it cannot do without."""
    trained_on: str = ""
    network: str = ""
    parameters: int | None = None
    tiles: str = ""
    """`exact` with the pixels they overlap by, or `bounded`: seams are small and not nothing."""
    size_multiple: int | None = None
    precisions: tuple[str, ...] = ()
    text: str = ""
    """The model card of one of our own, Markdown."""

    @property
    def speed(self) -> str:
        """One of `SPEEDS`; empty where the cost is not known."""
        if not self.kflop_per_pixel and self.name != "identity":
            return ""
        return next(word for most, word in SPEEDS if self.kflop_per_pixel <= most)


def all_cards() -> list[Card]:
    """The whole catalogue: ours, then those of others in the order of their table, which are not looked
    into."""
    baselines = ["identity", *(f"{tier}-x{scale}" for tier in BASELINES for scale in SCALES)]
    ours = [card_of(name) for name in (*baselines, *(entry.name for entry in BUILT_IN))]
    return ours + [_announced(entry) for entry in published.PUBLISHED]


def card_of(name: str) -> Card:
    """The card of a name or of a checkpoint's path.

    Raises:
        ModelError: there is no such model, or it does not load.
    """
    entry = find_published(name)
    if entry is None:
        return _loaded(name, load(name), None)
    card = _announced(entry)
    if card.state != "installed":
        return card
    try:
        return _loaded(name, load(name), entry)
    except ModelError:
        if not entry.needs:
            raise
        return card  # it is sound, so what is missing is its reader


def _announced(entry: Published) -> Card:
    """The card that the catalogue alone gives."""
    here = entry.path.is_file()
    return Card(
        name=entry.name,
        purpose=entry.purpose,
        scale=entry.scale,
        sees="luma" if entry.in_channels == 1 else "RGB",
        num_frames=entry.num_frames,
        remembers=False,
        latency=entry.latency,
        kflop_per_pixel=entry.kflop_per_pixel,
        set5=entry.set5,
        licence=entry.licence,
        sha256=entry.sha256,
        num_bytes=entry.num_bytes,
        state="not installed"
        if not here
        else "installed"
        if is_sound(entry.path, entry.sha256)
        else "damaged",
        path=str(entry.path),
        address=entry.address,
        how=entry.how,
        needs=entry.needs,
        trained_on=entry.trained_on,
    )


def _loaded(name: str, model: Model, entry: Published | None) -> Card:
    spec, context = model.spec, model.spec.context
    tier = name.rpartition("-x")[0] or name
    own = next((each for each in BUILT_IN if each.name == name), None)
    path = entry.path if entry else WEIGHTS / f"{name}.safetensors" if own else Path(name)
    text = (
        path.with_suffix(".md").read_text(encoding="utf-8")
        if own and path.with_suffix(".md").is_file()
        else ""
    )
    weights = list(model.network.parameters()) if isinstance(model.network, nn.Module) else []
    return Card(
        name=spec.name,
        purpose=entry.purpose if entry else PURPOSES.get(tier, ""),
        scale=spec.scale,
        sees="luma" if spec.in_channels == 1 else "RGB",
        num_frames=context.before + context.emit + context.after,
        remembers=context.stateful,
        latency=context.latency,
        kflop_per_pixel=round(spec.kflop_per_pixel, 2),
        set5=entry.set5 if entry else _set5(tier, spec.scale, text),
        licence=spec.licence or _licence_of(spec),
        sha256=spec.sha256,
        num_bytes=path.stat().st_size if path.is_file() else None,
        path=str(path) if path.exists() else "",
        address=entry.address if entry else "",
        how=entry.how if entry else "",
        needs=entry.needs if entry else "",
        trained_on=spec.trained_on or ("unknown" if spec.sha256 else ""),
        network=spec.network or type(model.network).__name__,
        parameters=sum(weight.numel() for weight in weights) if weights else None,
        tiles=_tiles(model),
        size_multiple=spec.size_multiple,
        precisions=spec.dtypes,
        text=text,
    )


def _licence_of(spec: ModelSpec) -> str:
    """Of a file that may be anybody's: unknown, with what those known for such networks say of theirs."""
    known = licences_of(spec.network)
    return ("unknown" + (f"; published weights: {known}" if known else "")) if spec.sha256 else ""


def _tiles(model: Model) -> str:
    if model.spec.context.stateful:
        return "none"
    return "bounded" if model.spec.halo is None else f"exact, overlapping by {model.spec.halo} pixels"


def _set5(tier: str, scale: int, text: str) -> float | None:
    if tier in _BASELINE_SET5:
        return _BASELINE_SET5[tier][SCALES.index(scale)]
    found = re.search(rf"Set5 ×{scale}, .*?fp32 ([\d.]+)", text)
    return float(found[1]) if found else None


def verify_installed(name: str) -> bool | None:
    """Hash what is installed of a model again; None where nothing is installed.

    Raises:
        ModelError: no model of that name has a file.
    """
    entry: Published | BuiltIn | None = find_published(name)
    path = entry.path if entry else WEIGHTS / f"{name}.safetensors"
    entry = entry or next((each for each in BUILT_IN if each.name == name), None)
    if entry is None:
        raise ModelError(
            f"{name!r} is no model of the catalogue that has a file; `vsr models list` shows them all"
        )
    return is_sound(path, entry.sha256) if path.is_file() else None
