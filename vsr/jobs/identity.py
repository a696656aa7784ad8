"""What a long job is, as lines of text: two runs with equal lines make the
same frames and the same encoding."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch

from vsr import __version__
from vsr.durable import sha256_of
from vsr.engine import place
from vsr.errors import ModelError, redact
from vsr.jobs.plan import Plan
from vsr.media import address_of, ffmpeg_version, find_ffmpeg, is_address
from vsr.models import Model
from vsr.options import EnhanceOptions

_BLOCK = 1 << 16
_NUM_BLOCKS = 18
"""Head, tail and samples between them: a file of terabytes is told in a moment."""

_ROUNDS = 200_000
"""A tenth of a second."""

_WITHOUT_EFFECT = {"device", "threads", "skip_static", "restart", "workers", "cluster", "max_memory"}
"""Options that change no pixel; of the device, `running on` says what does."""

_HOW = _WITHOUT_EFFECT | {"segment", "decoder", "device", "tile", "batch", "executor"}
"""Options by which the same is reached in another way, if not to the bit."""


def identity_of(plan: Plan) -> dict[str, str]:
    """Describe source, models, options, encoder and software."""
    models, options, choices = plan.models, plan.options, plan.outputs.choices if plan.outputs else []
    lines = describe_source(plan.job.path, plan.source.pictures) | _options(options, without=_WITHOUT_EFFECT)
    lines["models"] = " + ".join(map(_model, models)) or "none"
    lines["running on"] = running_on(models, options)
    lines["crop found"] = str(plan.crop)
    lines["output format"] = _short(asdict(plan.output))
    told = [[choice.encoder, choice.pixel_format, choice.arguments, choice.filters] for choice in choices]
    lines["encoder arguments"] = " + ".join(map(_short, told))
    lines["software"] = software()
    return lines | ({"hashes of frames": "wanted"} if plan.hashes_frames else {})


def default_options() -> dict[str, str]:
    """Describe the options of a long job that nobody has given."""
    return _options(EnhanceOptions(), without=_WITHOUT_EFFECT)


def wishes_of(options: EnhanceOptions) -> dict[str, str]:
    """Describe what is wanted of a file, whatever file it is and wherever it is enhanced.

    Checkpoints that are named by a path count by their bytes.

    Raises:
        ModelError: such a checkpoint cannot be read.
    """
    lines = _options(options, without=_HOW)
    marks = [f"{name} {_checkpoint(Path(name))}".strip() for name in options.models.model]
    return lines | {"model": " ".join(marks)}


def _model(model: Model) -> str:
    spec = model.spec
    told = f", told {spec.damage}" if spec.packs > 1 else ""
    return f"{spec.name} {spec.sha256[:16]}{told}"


def _checkpoint(path: Path) -> str:
    if not path.suffix or not path.is_file():
        return ""  # a name, or a mistake that is found later
    try:
        return sha256_of(path)[:16]
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None


def software() -> str:
    """Name the programs that have a part in the result."""
    return f"vsr {__version__}, PyTorch {torch.__version__}, FFmpeg {ffmpeg_version(find_ffmpeg())}"


def running_on(models: tuple[Model, ...], options: EnhanceOptions) -> str:
    """Name the device and precision of each model."""
    return " + ".join(_spot(model, options) for model in models) or "cpu"


def _options(options: EnhanceOptions, *, without: set[str]) -> dict[str, str]:
    groups = asdict(options).values()
    return {
        name.replace("_", "-"): _text(value)
        for group in groups
        for name, value in group.items()
        if name not in without
    }


def _spot(model: Model, options: EnhanceOptions) -> str:
    spot = place(options.engine, model)
    return f"{spot.device.type} in {spot.precision}"


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _short(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def _address(address: str) -> str:
    """An address without its secrets, and what tells it from others that then look like it: made slowly, so that it
    gives away no short secret either."""
    shown, query = redact(address), urlsplit(address).query.encode("utf-8", "surrogateescape")
    mark = hashlib.pbkdf2_hmac("sha256", query, shown.encode(), _ROUNDS, 8).hex() if query else ""
    return f"{shown} ({mark})" if mark else shown


def sampled_hash(path: Path) -> str:
    """Return a hash of a file's head, tail and samples between them."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for number in range(_NUM_BLOCKS):
            file.seek(max(0, size - _BLOCK) * number // (_NUM_BLOCKS - 1))
            digest.update(file.read(_BLOCK))
    return digest.hexdigest()[:16]


def describe_source(path: Path, pictures: Sequence[tuple[int, Path]] = ()) -> dict[str, str]:
    """Describe a file by its size, its time and samples of its bytes; numbered pictures by size and time of each."""
    if pictures:
        stats = [
            (number, file.name, file.stat().st_size, file.stat().st_mtime_ns) for number, file in pictures
        ]
        return {"source size": f"{len(pictures)} pictures", "source contents": _short(stats)}
    if is_address(path):
        return {"source address": _address(address_of(path))}
    stat = path.stat()
    changed = datetime.fromtimestamp(stat.st_mtime, UTC).isoformat()
    return {
        "source size": f"{stat.st_size} bytes",
        "source contents": sampled_hash(path),
        "source time": changed,
    }
