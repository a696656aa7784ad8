"""What a label says of a result: that vsr has enhanced it, by which networks, and whether these paint."""

from collections.abc import Sequence

from vsr.errors import ConfigError
from vsr.frames import PictureFormat, StreamInfo
from vsr.models import Model
from vsr.options import Language, PictureOptions
from vsr.quality import Label, label_fits

_WORDS: dict[Language, tuple[str, str]] = {
    "en": ("enhanced by vsr", "detail is generated"),
    "de": ("aufbereitet mit vsr", "Details sind erzeugt"),
    "fr": ("amélioré par vsr", "détails générés"),
    "es": ("mejorado con vsr", "detalles generados"),
    "it": ("migliorato con vsr", "dettagli generati"),
    "nl": ("verbeterd met vsr", "details zijn gegenereerd"),
    "pt": ("melhorado com vsr", "detalhes gerados"),
}


def label_of(
    picture: PictureOptions, source: StreamInfo, output: PictureFormat, models: Sequence[Model]
) -> Label | None:
    """The label that is wanted on a result, upright as players show it; None where none is.

    The names of networks are left out where there is no room for them.

    Raises:
        ConfigError: there is no room for the rest either.
    """
    if picture.label == "off":
        return None
    done, painted = _WORDS[picture.label]
    words = f"{done}, {painted}" if any(model.spec.generative for model in models) else done
    names = " + ".join(model.spec.name for model in models)
    height, width = output.height, output.width
    shown = (width, height) if source.rotation % 180 else (height, width)
    for text in (f"{words} ({names})", words) if names else (words,):
        if label_fits(text, *shown):
            vertical, horizontal = picture.label_corner.split("-")
            return Label(text, vertical == "bottom", horizontal == "right", source.rotation, source.mirrored)
    raise ConfigError(
        f"label: {words!r} does not fit into {shown[1]}x{shown[0]}; a larger result has room for it"
    )
