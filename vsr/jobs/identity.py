"""What a long job is, as lines of text: two runs with equal lines make the same frames and the same encoding."""

import hashlib
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from vsr import __version__
from vsr.config import EnhanceOptions
from vsr.engine.device import place
from vsr.frames import PictureFormat
from vsr.media.encoders import EncoderChoice
from vsr.media.ffmpeg import ffmpeg_version, find_ffmpeg
from vsr.models.spec import Model

_BLOCK = 1 << 16
_NUM_BLOCKS = 18
"""Head, tail and samples between them: a file of terabytes is told in a moment."""

_WITHOUT_EFFECT = {"threads", "skip_static", "restart"}
"""Options that change no pixel."""


def identity_of(
    source: Path, options: EnhanceOptions, *, models: tuple[Model, ...], choice: EncoderChoice, picture: PictureFormat,
    crop: object,
) -> dict[str, str]:  # fmt: skip
    """Describe source, models, options, encoder and software."""
    lines = _source(source)
    for group in asdict(options).values():
        lines |= {name.replace("_", "-"): _text(value) for name, value in group.items() if name not in _WITHOUT_EFFECT}
    lines["models"] = " + ".join(f"{model.spec.name} {model.spec.sha256[:16]}" for model in models) or "none"
    lines["running on"] = " + ".join(_spot(model, options) for model in models) or "cpu"
    lines["crop found"] = str(crop)
    lines["output format"] = _short(asdict(picture))
    lines["encoder arguments"] = _short([choice.encoder, choice.pixel_format, choice.arguments, choice.filters])
    lines["software"] = f"vsr {__version__}, PyTorch {torch.__version__}, FFmpeg {ffmpeg_version(find_ffmpeg())}"
    return lines


def _spot(model: Model, options: EnhanceOptions) -> str:
    spot = place(options.engine, model.spec.dtypes)
    return f"{spot.device.type} in {spot.precision}"


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _short(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def _source(path: Path) -> dict[str, str]:
    stat = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for number in range(_NUM_BLOCKS):
            file.seek(max(0, stat.st_size - _BLOCK) * number // (_NUM_BLOCKS - 1))
            digest.update(file.read(_BLOCK))
    changed = datetime.fromtimestamp(stat.st_mtime, UTC).isoformat()
    return {
        "source size": f"{stat.st_size} bytes",
        "source contents": digest.hexdigest()[:16],
        "source time": changed,
    }
