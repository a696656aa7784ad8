"""Tiny real clips with the frame number drawn in the pixels, so that a lost, doubled or swapped frame shows."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import imageio_ffmpeg
import numpy as np

from vsr.media.probe_video import best_stream

GRID = 4
NUM_BITS = GRID * GRID - 2
MATRICES = {"bt709": 1, "bt470bg": 5, "smpte170m": 6, "bt2020nc": 9}
PRIMARIES = {"bt709": 1, "bt470bg": 5, "smpte170m": 6, "bt2020": 9}
TRANSFERS = {"bt709": 1, "smpte170m": 6, "iec61966-2-1": 13, "smpte2084": 16, "arib-std-b67": 18}
RANGES = {"limited": 1, "full": 2}


def _cells(plane: np.ndarray) -> list[np.ndarray]:
    rows = np.linspace(0, plane.shape[0], GRID + 1).round().astype(int)
    columns = np.linspace(0, plane.shape[1], GRID + 1).round().astype(int)
    return [
        plane[rows[i] : rows[i + 1], columns[j] : columns[j + 1]] for i in range(GRID) for j in range(GRID)
    ]


def draw_number(plane: np.ndarray, n: int, *, black: int = 16, white: int = 235) -> None:
    """Fill `plane` with a 4 by 4 grid: a white cell, a black cell, then the 14 bits of `n`, lowest first."""
    if not 0 <= n < 1 << NUM_BITS:
        raise ValueError(f"{n} does not fit in {NUM_BITS} bits")
    bits = [1, 0, *(n >> i & 1 for i in range(NUM_BITS))]
    for cell, bit in zip(_cells(plane), bits, strict=True):
        cell[...] = white if bit else black


def read_number(plane: np.ndarray) -> int:
    """Return the number drawn in `plane`, at any enlargement, bit depth and range: two cells show black and white."""
    means: list[float] = []
    for cell in _cells(plane):
        height, width = cell.shape[0] // 4, cell.shape[1] // 4
        means.append(float(cell[height : cell.shape[0] - height, width : cell.shape[1] - width].mean()))
    threshold = (means[0] + means[1]) / 2
    return sum(1 << i for i, mean in enumerate(means[2:]) if mean > threshold)


def draw_chroma(plane: np.ndarray, index: int, bit_depth: int = 8) -> None:
    """Fill a chroma plane with a gentle ramp: across for index 1 (U), down for index 2 (V)."""
    low, high = 96 << (bit_depth - 8), 160 << (bit_depth - 8)
    length = plane.shape[1] if index == 1 else plane.shape[0]
    ramp = np.linspace(low, high, length).round().astype(plane.dtype)
    plane[...] = ramp[None, :] if index == 1 else ramp[:, None]


def plane_view(frame: av.VideoFrame, index: int) -> np.ndarray:
    """Return plane `index` of a planar frame as a writable array."""
    plane = frame.planes[index]
    dtype = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
    rows = np.frombuffer(cast(Any, plane), dtype).reshape(plane.height, -1)
    return rows[:, : plane.width]


def numbered_frame(n: int, size: tuple[int, int], pixel_format: str, *, full: bool = False) -> av.VideoFrame:
    """Return a PyAV frame with `n` drawn in its luma, or in all of R, G and B; any pixel format swscale can write."""
    fmt = av.VideoFormat(pixel_format)
    bits = fmt.components[0].bits
    planar = fmt.is_planar and all(c.bits == bits for c in fmt.components) and not fmt.is_big_endian
    planar = (
        planar
        and len({c.plane for c in fmt.components}) == len(fmt.components)
        and not pixel_format.startswith("p0")
    )
    packed_rgb = fmt.is_rgb or fmt.has_palette
    work = (
        pixel_format
        if planar or pixel_format.startswith("gray")
        else "gbrp"
        if packed_rgb
        else _planar_twin(fmt)
    )
    frame = av.VideoFrame(size[1], size[0], work)
    depth = av.VideoFormat(work).components[0].bits
    rgb = av.VideoFormat(work).is_rgb
    whole = full or rgb or work.startswith("yuvj")
    black, white = (0, (1 << depth) - 1) if whole else (16 << (depth - 8), 235 << (depth - 8))
    for index in range(len(frame.planes)):
        if rgb or index == 0 or index == 3:
            draw_number(plane_view(frame, index), n, black=black, white=white)
        else:
            draw_chroma(plane_view(frame, index), index, depth)
    code = 2 if whole else 1
    return (
        frame
        if work == pixel_format
        else frame.reformat(format=pixel_format, src_color_range=code, dst_color_range=code, threads=1)
    )


def _planar_twin(fmt: av.VideoFormat) -> str:
    chroma = {(32, 32): "420", (32, 64): "422", (64, 64): "444"}[fmt.chroma_width(64), fmt.chroma_height(64)]
    bits = max(c.bits for c in fmt.components)
    return f"yuv{chroma}p" + (f"{bits}le" if bits > 8 else "")


@dataclass(frozen=True)
class ClipOptions:
    """Everything `make_clip` can be told beyond a name."""

    num_frames: int = 12
    size: tuple[int, int] = (48, 64)
    """height, width"""
    pixel_format: str = "yuv420p"
    codec: str = "libx264"
    rate: Fraction = Fraction(25)
    pts: Sequence[int] | None = None
    """One per frame, in `time_base`; default 0, 1, 2, ... frames of `rate`."""
    numbers: Sequence[int] = ()
    """What the frames show; default 0, 1, 2, ..."""
    time_base: Fraction | None = None
    """Default 1 / rate."""
    start_pts: int = 0
    """Added to every pts."""
    gop: int = 0
    """Frames between key frames; 0 for the encoder's default."""
    b_frames: int | None = None
    codec_options: dict[str, str] = field(default_factory=dict[str, str])
    container_options: dict[str, str] = field(default_factory=dict[str, str])
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    matrix: str = ""
    primaries: str = ""
    transfer: str = ""
    range: str = ""
    """limited or full; also decides the code values of black and white."""
    sample_aspect: Fraction | None = None
    rotation: int = 0
    """Degrees counter-clockwise."""
    interlaced: str = ""
    """tff or bff (H.264 and MPEG-2)."""
    audio: bool = False
    subtitles: bool = False
    chapters: bool = False
    attachment: bool = False


def _add_video(container: Any, clip: ClipOptions) -> Any:
    options = {"preset": "ultrafast", "crf": "10", "bf": "2"} if clip.codec == "libx264" else {}
    if clip.codec == "libx265":
        options = {"preset": "ultrafast", "x265-params": "log-level=none:crf=10:pools=1:frame-threads=1"}
    if clip.interlaced and clip.codec == "libx264":
        options["x264-params"] = f"{clip.interlaced}=1"
    stream = container.add_stream(clip.codec, rate=clip.rate, options=options | clip.codec_options)
    stream.height, stream.width = clip.size
    stream.pix_fmt = clip.pixel_format
    context = stream.codec_context
    context.time_base = stream.time_base = clip.time_base or 1 / Fraction(clip.rate)
    context.thread_count = 1
    if clip.gop:
        context.gop_size = clip.gop
    if clip.b_frames is not None:
        context.max_b_frames = clip.b_frames
    if clip.interlaced:
        context.flags |= 1 << 18  # AV_CODEC_FLAG_INTERLACED_DCT
    if clip.sample_aspect:
        context.sample_aspect_ratio = clip.sample_aspect
    for name, table, key in (
        ("colorspace", MATRICES, clip.matrix),
        ("color_primaries", PRIMARIES, clip.primaries),
        ("color_trc", TRANSFERS, clip.transfer),
        ("color_range", RANGES, clip.range),
    ):
        if key:
            setattr(context, name, table[key])
    if clip.rotation:
        stream.set_display_rotation(clip.rotation)
    return stream


def _write_audio(container: Any, stream: Any, seconds: float) -> None:
    num_samples = max(2048, int(seconds * 48000))
    wave = (np.sin(np.arange(num_samples) * 0.05) * 0.2).astype(np.float32)
    for first in range(0, num_samples, 1024):
        part = np.ascontiguousarray(wave[None, first : first + 1024])
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, first, Fraction(1, 48000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_clip(path: Path, clip: ClipOptions) -> Path:
    """Encode numbered frames 0, 1, 2, ... into `path` with PyAV."""
    container_options = dict(clip.container_options)
    base = clip.time_base or 1 / Fraction(clip.rate)
    if path.suffix in (".mp4", ".mov") and base.numerator == 1:
        container_options.setdefault("video_track_timescale", str(base.denominator))
    step = 1 / Fraction(clip.rate) / base
    pts = clip.pts if clip.pts is not None else [int(n * step) for n in range(clip.num_frames)]
    with av.open(str(path), "w", options=container_options) as container:
        container.metadata.update(clip.metadata)
        stream = _add_video(container, clip)
        audio = container.add_stream("aac", rate=48000, layout="mono") if clip.audio else None
        if clip.chapters:
            half = len(pts) // 2
            ends = [0, int(half * 1000 / clip.rate), int(len(pts) * 1000 / clip.rate)]
            container.set_chapters(
                [
                    {"id": i, "start": ends[i], "end": ends[i + 1], "time_base": Fraction(1, 1000),
                     "metadata": {"title": f"chapter {i + 1}"}}
                    for i in range(2)
                ]
            )  # fmt: skip
        for n, time in enumerate(pts):
            frame = numbered_frame(
                clip.numbers[n] if clip.numbers else n,
                clip.size,
                clip.pixel_format,
                full=clip.range == "full",
            )
            frame.pts, frame.time_base = time + clip.start_pts, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio is not None:
            _write_audio(container, audio, float((pts[-1] - pts[0]) * base + 1 / Fraction(clip.rate)))
    return path


def run_ffmpeg(*arguments: str | Path) -> None:
    """Run the FFmpeg binary that comes with imageio-ffmpeg; raise with its last lines if it fails."""
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-hide_banner",
        "-v",
        "error",
        "-nostdin",
        "-y",
        *map(str, arguments),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise RuntimeError(f"ffmpeg {' '.join(map(str, arguments))}: {done.stderr[-2000:]}")


def add_extras(path: Path, clip: ClipOptions) -> Path:
    """Mux subtitles and an attachment, which PyAV cannot write, into a finished clip."""
    plain = path.rename(path.with_name("plain_" + path.name))
    arguments: list[str | Path] = ["-copyts", "-i", plain]
    if clip.subtitles:
        text = path.with_suffix(".srt")
        text.write_text(
            "1\n00:00:00,000 --> 00:00:00,200\nfirst line\n\n2\n00:00:00,240 --> 00:00:00,400\nsecond\n"
        )
        arguments += ["-i", text, "-map", "0", "-map", "1", "-metadata:s:s:0", "language=eng"]
        arguments += [
            "-c:s",
            {".mp4": "mov_text", ".mov": "mov_text", ".webm": "webvtt"}.get(path.suffix, "srt"),
        ]
    if clip.attachment:
        font = path.with_suffix(".ttf")
        font.write_bytes(b"not really a font" * 20)
        arguments += ["-attach", font, "-metadata:s:t", "mimetype=application/x-truetype-font"]
    run_ffmpeg(*arguments, "-c:v", "copy", "-c:a", "copy", path)
    plain.unlink()
    return path


def read_video(path: Path) -> tuple[list[Fraction], list[av.VideoFrame]]:
    """Times in seconds and pictures of the main video stream, by nothing but PyAV."""
    with av.open(str(path)) as container:
        stream = best_stream(container, str(path))
        frames = list(container.decode(stream))
        return [frame.pts * frame.time_base for frame in frames], frames
