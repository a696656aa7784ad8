"""What travels through the pipeline: `Frame`, `PictureFormat`, and `StreamInfo` about where it came from.

Plain values without behaviour beyond arithmetic on their fields; nothing here touches PyAV, FFmpeg or torch.
"""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt

Layout = Literal["yuv420", "yuv422", "yuv444", "gray", "rgb"]
"""How planes are laid out. `rgb` has three full planes in the order R, G, B."""

Plane = npt.NDArray[Any]
"""(height, width), uint8 for 8 bits, else uint16 with the value in the low bits."""

SUBSAMPLING: dict[Layout, tuple[int, int]] = {
    "yuv420": (2, 2),
    "yuv422": (1, 2),
    "yuv444": (1, 1),
    "gray": (1, 1),
    "rgb": (1, 1),
}
"""Luma rows and columns per chroma sample."""


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """Everything needed to interpret a picture's planes. Tag names are FFmpeg's own."""

    height: int
    """Rows of the first plane."""
    width: int
    """Columns of the first plane."""
    bit_depth: int = 8
    """Significant bits of a sample: 8, 10, 12 or 16."""
    layout: Layout = "yuv420"
    """Planes and chroma subsampling."""
    alpha: bool = False
    """A last plane, full size and full range, holds opacity."""
    matrix: str = "unknown"
    """Y'CbCr matrix: `bt709`, `smpte170m`, `bt470bg`, `bt2020nc`, `gbr`, ...; `unknown` where unsaid."""
    range: Literal["limited", "full"] = "limited"
    """Code values of black and white: 16–235 (scaled to the bit depth) or all."""
    primaries: str = "unknown"
    """Colour primaries, e.g. `bt709`, `bt2020`."""
    transfer: str = "unknown"
    """Transfer function, e.g. `bt709`, `smpte2084`, `arib-std-b67`, `iec61966-2-1`."""
    siting: str = "unspecified"
    """Where chroma samples lie: `left`, `center`, `topleft`, ...; `unspecified` is read as `left`."""
    sample_aspect: Fraction = Fraction(1)
    """Width of a sample over its height."""

    @property
    def num_planes(self) -> int:
        return (1 if self.layout == "gray" else 3) + self.alpha

    def as_in_picture_files(self) -> "PictureFormat":
        """The same as picture files hold it: R'G'B' or grey, of full range."""
        if self.layout == "gray":
            return replace(self, range="full", matrix="unknown")
        return replace(self, layout="rgb", range="full", matrix="gbr", siting="unspecified")

    def plane_size(self, index: int) -> tuple[int, int]:
        """Height, width of plane `index`; an odd luma size rounds the chroma size up."""
        rows, columns = SUBSAMPLING[self.layout] if index in (1, 2) else (1, 1)
        return -(-self.height // rows), -(-self.width // columns)


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture with its presentation time. Planes are never written to once a frame has been made."""

    planes: tuple[Plane, ...]
    """Y, U, V or R, G, B or Y alone, then alpha if the format has it; sizes by `format.plane_size`."""
    format: PictureFormat
    pts: int = 0
    """Presentation time in units of `time_base`."""
    time_base: Fraction = Fraction(1, 1000)
    """Seconds per tick."""
    duration: int = 0
    """Ticks this frame is shown for; 0 where the source does not say."""
    reset: bool = False
    """The frame does not continue the one before it (scene cut, seek, gap): no window or state may cross."""
    stream: int = 0
    """0 for a file, the camera's number when live."""
    arrived_s: float = 0.0
    """When a live frame had been decoded, by `time.monotonic()`; 0 for a file."""


@dataclass(frozen=True, slots=True)
class MasteringMetadata:
    """Static HDR metadata (SMPTE ST 2086 and CTA-861.3)."""

    primaries: tuple[tuple[Fraction, Fraction], ...] = ()
    """x, y chromaticity of red, green and blue of the mastering display; empty where absent."""
    white_point: tuple[Fraction, Fraction] | None = None
    """x, y chromaticity of the white point."""
    min_luminance: Fraction | None = None
    """cd/m²."""
    max_luminance: Fraction | None = None
    """cd/m²."""
    max_content_light: int = 0
    """MaxCLL, cd/m²; 0 where absent."""
    max_frame_average_light: int = 0
    """MaxFALL, cd/m²; 0 where absent."""


@dataclass(frozen=True, slots=True)
class Immersive:
    """How a picture wraps around its viewer, and how it holds the views of two eyes."""

    projection: str = ""
    """`equirectangular`, `cubemap`, ...; empty for a flat picture."""
    turned: tuple[int, ...] = (0, 0, 0)
    """Yaw, pitch and roll, in degrees times 65,536."""
    bounds: tuple[int, ...] = (0, 0, 0, 0)
    """Left, top, right, bottom of what a tile lacks of the whole, as shares of it times 2**32."""
    padding: int = 0
    """Pixels around each face of a cubemap."""
    packing: str = ""
    """`side by side` or `top and bottom`; empty for one view."""
    swapped: bool = False
    """The right eye's view comes first."""


@dataclass(frozen=True, slots=True)
class OtherStream:
    """A stream of the source that is not the enhanced video."""

    index: int
    kind: str
    """`audio`, `subtitle`, `attachment`, `data` or `video` (cover pictures, further video tracks)."""
    codec: str
    language: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What `probe` found in a file. Nothing here is guessed from an average frame rate."""

    path: str
    kind: Literal["video", "image"]
    container: str
    """FFmpeg's short name of the container, e.g. `mov,mp4,m4a,3gp,3g2,mj2`, or an image format: `png`."""
    codec: str
    """Codec of the video stream, e.g. `h264`."""
    pixel_format: str
    """FFmpeg's name of the pixel format as decoded, e.g. `yuv420p10le`."""
    format: PictureFormat
    time_base: Fraction = Fraction(1, 1000)
    start_pts: int | None = None
    """Presentation time of the first frame, in `time_base` ticks; None where the container does not say."""
    duration_s: float | None = None
    """For display and estimates only."""
    num_frames: int | None = None
    """As the container tells or as estimated: for progress and plans only, never for timing."""
    average_rate: Fraction | None = None
    """Frames a second, for display and encoder hints only."""
    rotation: int = 0
    """Degrees counter-clockwise that a player turns the picture: 0, 90, 180 or
    270. Metadata alone; pixels stay."""
    mirrored: bool = False
    """A player mirrors the picture, too: top to bottom before it turns it."""
    interlaced: bool = False
    mastering: MasteringMetadata | None = None
    coded_aspect: Fraction | None = None
    """Sample aspect by the first picture itself, where that is what counts and may change on the way; None where the
    container or the user says it for all."""
    immersive: Immersive | None = None
    dolby_vision: str = ""
    """Profile, e.g. `5` or `8.1`; empty where there is none."""
    timecode: str = ""
    """Of the first picture, HH:MM:SS:FF, with ; before FF where frames are dropped; empty where there is none."""
    bit_rate: int | None = None
    """Bits a second of the video stream, where known."""
    stream_index: int = 0
    """Index of the enhanced video stream in its container."""
    others: tuple[OtherStream, ...] = ()
    num_chapters: int = 0
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    """Metadata of the container (title, date, ...)."""
    notes: tuple[str, ...] = ()
    """Lines that the user should read once: assumptions made, things that will be converted."""
    pictures: tuple[tuple[int, Path], ...] = ()
    """Numbers and files, ascending, where the video is made of numbered pictures; a number is a frame's pts."""
