"""How large a result is, and of which shape its pixels are."""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from vsr.frames import SUBSAMPLING, PictureFormat
from vsr.models import Model
from vsr.options import EnhanceOptions, ModelOptions, parse_size


def wanted_size(
    format: PictureFormat, rotation: int, options: ModelOptions
) -> tuple[float | None, tuple[int, int] | None]:
    """Return the enlargement and the size (height, width) that are wanted; None for what the models give.

    The sizes that users name are meant as the viewer sees them.

    Args:
        format: of the pictures that are enhanced.
        rotation: degrees by which players turn them.
        options: what was asked for.
    """
    height, width = format.height, format.width
    turned = rotation % 180 != 0
    if options.size:
        seen = parse_size(options.size)
        size = (seen[1], seen[0]) if turned else seen
    elif options.height:
        along = width if turned else height
        across = (height if turned else width) * options.height / along
        step = max(SUBSAMPLING[format.layout])
        other = max(step, step * round(across / step))
        size = (other, options.height) if turned else (options.height, other)
    elif options.scale == "auto":
        return None, None
    else:
        return float(options.scale), (height * options.scale, width * options.scale)
    return max(size[0] / height, size[1] / width), size


def models_size(format: PictureFormat, models: Sequence[Model]) -> tuple[int, int]:
    """Height, width that the models give."""
    scale = math.prod(model.spec.scale for model in models)
    return format.height * scale, format.width * scale


def result_format(format: PictureFormat, size: tuple[int, int], options: EnhanceOptions) -> PictureFormat:
    """Return the format of the enhanced frames.

    Args:
        format: of the pictures that are enhanced.
        size: height, width that they get, unless their pixels are to be square.
        options: what was asked for.
    """
    exact, keep_height = bool(options.models.size), bool(options.models.height)
    output = _resized(format, size, exact=exact)
    return _squared(output, keep_height=keep_height, exact=exact) if options.picture.square else output


def _resized(format: PictureFormat, size: tuple[int, int], *, exact: bool) -> PictureFormat:
    """The input's format at the output's size; another shape changes the
    sample aspect, never the picture's."""
    height, width = size
    if not exact:
        return replace(format, height=height, width=width)
    aspect = format.sample_aspect * format.width * height / (format.height * width)
    near = abs(aspect / format.sample_aspect - 1) < 0.01  # a rounding of the size, not a wish
    return replace(format, height=height, width=width, sample_aspect=format.sample_aspect if near else aspect)


def _squared(output: PictureFormat, *, keep_height: bool, exact: bool) -> PictureFormat:
    """With square pixels, by more of what is too short; `keep_height` changes
    the width alone, `exact` neither."""
    aspect, (down, across) = output.sample_aspect, SUBSAMPLING[output.layout]
    if exact:
        return replace(output, sample_aspect=Fraction(1)) if abs(aspect - 1) < 0.01 else output
    if aspect >= 1 or keep_height:
        width = max(across, across * round(output.width * aspect / across))
        return replace(output, width=width, sample_aspect=Fraction(1))
    height = max(down, down * round(output.height / aspect / down))
    return replace(output, height=height, sample_aspect=Fraction(1))
