"""A frame as nominal float32 tensors, and back to its own planes. Colour facts
come from the frame's format alone."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vsr import color
from vsr.frames import SUBSAMPLING, Frame, PictureFormat
from vsr.resample import enlarge, resize


@dataclass(frozen=True, slots=True)
class Rounding:
    """How numbers become code values."""

    of_planes: Callable[[Tensor, tuple[float, float], int], Tensor] = color.to_codes
    """As this one does, or faster."""
    of_rgb: Callable[[Tensor, PictureFormat, PictureFormat], list[Tensor]] | None = None
    """What does as `color.rgb_to_codes` on the device, where there is such."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One frame as the networks see it. Either `luma` (with `chroma`, unless grey) or `rgb` is there."""

    frame: Frame
    """The frame it came from, for its time and format; its planes have been dropped."""
    luma: Tensor | None = None
    """(1, 1, H, W)."""
    chroma: Tensor | None = None
    """(1, 2, h, w), subsampled as `frame.format.layout` says (4:4:4 for RGB)."""
    rgb: Tensor | None = None
    """(1, 3, H, W)."""
    alpha: Tensor | None = None
    """(1, 1, H, W), 0–1."""
    content: int = 0
    """Pictures of one stream that have the same number are equal in all but their frames' times."""

    @property
    def size(self) -> tuple[int, int]:
        """Height, width now."""
        first = self.luma if self.luma is not None else self.rgb
        assert first is not None
        return first.shape[2], first.shape[3]

    def again(self, frame: Frame) -> "Picture":
        """The same picture as that of a later frame, of the same format."""
        return replace(self, frame=replace(frame, planes=()))


def from_planes(frame: Frame, planes: list[Tensor], content: int = 0) -> Picture:
    """Make a picture from a frame's planes on the device, each (H, W) with code values."""
    format = frame.format
    alpha = None
    if format.alpha:
        full = float((1 << format.bit_depth) - 1)
        alpha = color.to_nominal(planes.pop(), (0.0, full))[None, None]
    luma_scale = color.luma_scale(format)
    bare = replace(frame, planes=())
    if format.layout == "rgb":
        return Picture(
            bare, rgb=color.to_nominal(torch.stack(planes), luma_scale)[None], alpha=alpha, content=content
        )
    luma = color.to_nominal(planes[0], luma_scale)[None, None]
    if format.layout == "gray":
        return Picture(bare, luma=luma, alpha=alpha, content=content)
    chroma = color.to_nominal(torch.stack(planes[1:]), color.chroma_scale(format))[None]
    return Picture(bare, luma=luma, chroma=chroma, alpha=alpha, content=content)


def to_planes(picture: Picture, format: PictureFormat, rounding: Rounding = Rounding()) -> list[Tensor]:
    """Round a picture to the planes of `format`, each (H, W) with code values, on the device."""
    luma_scale, depth, to_codes = color.luma_scale(format), format.bit_depth, rounding.of_planes
    if format.layout == "rgb":
        planes = list(to_codes(as_rgb(picture), luma_scale, depth)[0])
    elif picture.rgb is not None and (in_one_pass := _of_rgb(picture.rgb, rounding)):
        planes = in_one_pass(picture.rgb.float(), picture.frame.format, format)
    else:
        luma, chroma = as_ycc(picture)
        planes = [to_codes(luma, luma_scale, depth)[0, 0]]
        if chroma is not None:
            height, width = format.plane_size(1)
            planes += list(to_codes(chroma, color.chroma_scale(format), depth)[0, :, :height, :width])
    if picture.alpha is not None:
        planes.append(to_codes(picture.alpha, (0.0, float((1 << depth) - 1)), depth)[0, 0])
    return planes


def _of_rgb(
    rgb: Tensor, rounding: Rounding
) -> Callable[[Tensor, PictureFormat, PictureFormat], list[Tensor]] | None:
    if rgb.requires_grad:
        return None
    return color.rgb_to_codes if rgb.device.type == "cpu" else rounding.of_rgb


def in_ycc(picture: Picture) -> Picture:
    """The same picture, held as luma and chroma."""
    if picture.rgb is None:
        return picture
    luma, chroma = as_ycc(picture)
    return replace(picture, luma=luma, chroma=chroma, rgb=None)


def in_rgb(picture: Picture) -> Picture:
    """The same picture, held as R'G'B'."""
    return replace(picture, rgb=as_rgb(picture), luma=None, chroma=None)


def as_ycc(picture: Picture) -> tuple[Tensor, Tensor | None]:
    """Luma, and chroma in the layout of the frame (None if grey)."""
    if picture.rgb is None:
        assert picture.luma is not None
        return picture.luma, picture.chroma
    format = picture.frame.format
    luma, chroma = color.rgb_to_ycc(picture.rgb, color.weights(format))
    if format.layout == "gray":
        return luma, None
    rows, columns = SUBSAMPLING[format.layout]
    if (rows, columns) != (1, 1):
        top, left = color.chroma_offset(format.layout, format.siting)
        height, width = luma.shape[2:]
        chroma = resize(
            chroma,
            (-(-height // rows), -(-width // columns)),
            ratio=(rows, columns),
            shift=(top, left),
            kernel="catmull-rom",
        )
    return luma, chroma


def as_rgb(picture: Picture) -> Tensor:
    """R'G'B' at full size; a grey picture repeats its luma."""
    if picture.rgb is not None:
        return picture.rgb
    assert picture.luma is not None
    if picture.chroma is None:
        return picture.luma.expand(-1, 3, -1, -1)
    format, chroma = picture.frame.format, picture.chroma
    rows, columns = SUBSAMPLING[format.layout]
    if (rows, columns) != (1, 1):
        top, left = color.chroma_offset(format.layout, format.siting)
        height, width = picture.size
        chroma = enlarge(chroma, (rows, columns), shift=(-top / rows, -left / columns), kernel="catmull-rom")
        chroma = chroma[:, :, :height, :width]
    return color.ycc_to_rgb(picture.luma, chroma, color.weights(format))


def enlarge_chroma(picture: Picture, scale: int) -> Tensor | None:
    """Carry the chroma of a picture in Y'CbCr to the enlarged size, each sample
    staying where the format sites it."""
    chroma = picture.chroma
    if chroma is None or scale == 1:
        return chroma
    rows, columns = SUBSAMPLING[picture.frame.format.layout]
    top, left = color.chroma_offset(picture.frame.format.layout, picture.frame.format.siting)
    # Output sample k lies `offset` from its block's centre at both sizes, and the same distance is
    # `scale` times smaller when measured in input samples.
    shift = (-top * (1 - 1 / scale) / rows, -left * (1 - 1 / scale) / columns)
    height, width = (scale * side for side in picture.size)
    return enlarge(chroma, scale, shift=shift, kernel="catmull-rom")[
        :, :, : -(-height // rows), : -(-width // columns)
    ]


def resize_picture(picture: Picture, size: tuple[int, int]) -> Picture:
    """The one final resampling to any size (Lanczos)."""
    if picture.size == size:
        return picture
    alpha = None if picture.alpha is None else resize(picture.alpha, size)
    if picture.rgb is not None:
        return replace(picture, rgb=resize(picture.rgb, size), alpha=alpha)
    luma, chroma = as_ycc(picture)
    if chroma is not None:
        layout = picture.frame.format.layout
        rows, columns = SUBSAMPLING[layout]
        ratio = (picture.size[0] / size[0], picture.size[1] / size[1])
        top, left = color.chroma_offset(layout, picture.frame.format.siting)
        shift = (-top * (1 - ratio[0]) / rows, -left * (1 - ratio[1]) / columns)
        chroma = resize(chroma, (-(-size[0] // rows), -(-size[1] // columns)), ratio=ratio, shift=shift)
    return replace(picture, luma=resize(luma, size), chroma=chroma, alpha=alpha)
