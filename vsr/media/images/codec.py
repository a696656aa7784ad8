"""Picture files to pixels and back, in memory: OpenCV for PNG, JPEG and WebP, tifffile for TIFF.

Owns the choice of codec settings; knows nothing of frames.
"""

import cv2
import numpy as np

from vsr.media.images import containers, tiff
from vsr.media.images.containers import DamagedError, Header, Metadata
from vsr.media.images.tiff import Pixels


def _gray_alpha(pixels: Pixels, header: Header) -> Pixels:
    """Bring OpenCV's idea of grey with transparency (four channels, or the key ignored) to grey, alpha."""
    if header.key is None:
        return pixels[..., [0, -1]]
    opaque = np.array(np.iinfo(pixels.dtype).max, pixels.dtype)
    return np.concatenate([pixels[..., :1], np.where(pixels[..., :1] == header.key, 0, opaque)], axis=2)


def decode_image(data: bytes, header: Header) -> Pixels:
    """Decode to (height, width, channels), RGB order, alpha last.

    Raises:
        DamagedError: the pixels cannot be decoded.
    """
    if header.container == "tiff":
        return tiff.decode_tiff(data, header)
    decoded = tiff.opencv_pixels(data)
    if decoded is None:
        raise DamagedError("is damaged: its pixels cannot be decoded")
    pixels: Pixels = np.atleast_3d(decoded)
    if header.color == "gray":
        pixels = _gray_alpha(pixels, header) if header.alpha else pixels[..., :1]
    elif pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    else:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    if header.alpha and pixels.shape[2] == 3:  # the decoder leaves out an alpha that is opaque everywhere
        pixels = np.concatenate([pixels, np.full_like(pixels[..., :1], np.iinfo(pixels.dtype).max)], axis=2)
    if pixels.shape[:2] != (header.height, header.width):
        raise DamagedError("is damaged: its size differs from its header")
    return pixels


def _png(pixels: Pixels, quality: int) -> bytes:
    if pixels.shape[2] != 2:
        return _by_opencv(".png", pixels, [])
    # OpenCV writes no grey with alpha. Each row is stored as its difference from the row above (filter 2).
    height, width = pixels.shape[:2]
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8)
    rows = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1]))
    filtered = np.insert(rows, 0, 2, axis=1).tobytes()
    return containers.png(height, width, 8 * pixels.dtype.itemsize, 4, filtered)


def _jpeg(pixels: Pixels, quality: int) -> bytes:
    # Chroma stays whole where quality is asked for, because enlarged colour edges show.
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444 if quality >= 50 else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
    options = [cv2.IMWRITE_JPEG_QUALITY, _level(quality), cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    return _by_opencv(".jpg", pixels, [*options, cv2.IMWRITE_JPEG_OPTIMIZE, 1])


def _webp(pixels: Pixels, quality: int) -> bytes:
    return _by_opencv(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, _level(quality) if quality < 100 else 101])


def _level(quality: int) -> int:
    """The encoder's own scale, from 50 on; 75 gives its 95."""
    return round(50 + 0.6 * quality if quality <= 75 else 95 + 0.2 * (quality - 75))


def _by_opencv(extension: str, pixels: Pixels, options: list[int]) -> bytes:
    order = [2, 1, 0, 3][: pixels.shape[2]] if pixels.shape[2] >= 3 else [0]
    done, data = cv2.imencode(extension, np.ascontiguousarray(pixels[..., order]), options)
    if not done:
        raise cv2.error(f"no {extension} was made")
    return data.tobytes()


_ENCODERS = {"png": _png, "jpeg": _jpeg, "webp": _webp}


def encode_image(
    pixels: Pixels, container: str, *, quality: int, metadata: Metadata
) -> tuple[bytes, tuple[str, ...]]:
    """Encode (height, width, 1 to 4 channels), RGB order, alpha last, of a depth that the format holds.

    Args:
        quality: 0 to 100 for JPEG and WebP; 100 makes a WebP lossless.

    Returns:
        The file, and notes about metadata that it cannot hold.

    Raises:
        cv2.error: the encoder refuses.
    """
    if container == "tiff":
        return tiff.encode_tiff(pixels, metadata)
    return containers.with_metadata(_ENCODERS[container](pixels, quality), container, metadata)
