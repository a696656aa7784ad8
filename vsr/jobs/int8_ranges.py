"""Networks of others in int8, where that is wanted or the fastest, by ranges of the source's own pictures."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from torch import Tensor

from vsr.autocrop import Rectangle, crop
from vsr.engine import has_amx, pick_device, place, transfer_for
from vsr.frames import StreamInfo
from vsr.jobs.sample_frames import spread_frames
from vsr.media import is_standard
from vsr.models import Model, can_be_measured, has_int8, measured
from vsr.options import EnhanceOptions
from vsr.picture import from_planes, in_rgb, in_ycc

EDGE = 128
"""Of the part of each picture that is looked at, from its middle."""

EVERY = 4
"""Of the frames that are spread over a source: three of a video."""

MOST_LOSS = {"int8": 0.1, "auto": 0.07}
"""dB from fp32, on the source's own pictures, up to which int8 is taken, by the precision asked for."""


def in_own_ranges(
    models: tuple[Model, ...], info: StreamInfo, options: EnhanceOptions, cut: Rectangle | None
) -> tuple[tuple[Model, ...], EnhanceOptions, tuple[str, ...]]:
    """Prepare a network for int8 by the source where it would run in it; what is said of that.

    Raises:
        SourceError: nothing can be decoded.
    """
    if not _would_run(models, info, options):
        return models, options, ()
    model = measured(models[0], list(_seen(models[0], info, options, cut)))
    name, loss = model.spec.name, model.spec.int8_loss or 0.0
    most = MOST_LOSS[options.engine.precision]
    if loss > most:
        engine = replace(options.engine, precision="auto")
        note = (
            f"{name}: not in int8, which would lose {loss:.2f} dB on this source; up to {most:g} is accepted"
        )
        return models, replace(options, engine=engine), (note,)
    if place(options.engine, model).precision != "int8":
        return models, options, ()  # it is not worth the loss here
    note = f"{name}: int8 by ranges of this source, {loss:.2f} dB from fp32 on its pictures"
    return (model,), options, (note,)


def _would_run(models: tuple[Model, ...], info: StreamInfo, options: EnhanceOptions) -> bool:
    """One network of a kind that can, that int8 is wanted of, or that no matrix unit makes fast in bf16."""
    if len(models) != 1 or not can_be_measured(models[0]) or is_standard(info.path):
        return False
    if pick_device(options.engine.device).type != "cpu" or not has_int8():
        return False
    wanted = options.engine.precision
    in_matrix_unit = has_amx() and "bf16" in models[0].spec.dtypes
    return wanted == "int8" or (wanted == "auto" and not in_matrix_unit)


def _seen(model: Model, info: StreamInfo, options: EnhanceOptions, cut: Rectangle | None) -> Iterator[Tensor]:
    """(1, C, H, W) each: what the network sees of the middles of a few pictures."""
    transfer = transfer_for(pick_device("cpu"), at_once=1)
    frames = spread_frames(info, options.read)
    for frame in islice(frames if cut is None else crop(frames, cut), 0, None, EVERY):
        top, left = (max(0, side - EDGE) // 4 * 2 for side in (frame.format.height, frame.format.width))
        middle = Rectangle(top, left, min(EDGE, frame.format.height), min(EDGE, frame.format.width))
        (part,) = crop([frame], middle)
        picture = from_planes(part, transfer.upload(part.planes))
        seen = in_rgb(picture).rgb if model.spec.in_channels == 3 else in_ycc(picture).luma
        assert seen is not None
        yield seen.float()
