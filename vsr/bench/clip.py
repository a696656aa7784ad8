"""The clip that a benchmark runs on: cut and scaled from the user's, or made: textured, moving, noisy."""

from dataclasses import dataclass
from pathlib import Path

from vsr.errors import ConfigError, SinkError, SourceError
from vsr.frames import Frame
from vsr.media import PROTOCOLS, VideoSource, command_line, first_error_line, local, probe, run_ffmpeg

SMALLEST = 32
"""Rows and columns; below that encoders and texture have nothing to work on."""

_COARSEST = 12
"""Spots in a row of the coarsest noise, over twice the picture's width."""

_CODING = {"c:v": "libx264", "preset": "veryfast", "crf": "23", "pix_fmt": "yuv420p"}
"""About what cameras and sites deliver: 0.15 to 0.2 bits a pixel for the texture below."""


@dataclass(frozen=True, slots=True)
class BenchClip:
    """The same stream twice: its beginning, and more of it."""

    short: Path
    long: Path
    few: int
    """Frames of the short one."""
    many: int
    """Frames of the long one."""


def check_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return a size that a clip can be made in.

    Raises:
        ConfigError: it is odd or too small.
    """
    height, width = size
    if height % 2 or width % 2 or min(size) < SMALLEST:
        raise ConfigError(f"size {width}x{height}: even numbers from {SMALLEST} on are accepted")
    return size


def make_clip(
    folder: Path, given: Path | None, size: tuple[int, int] | None, *, few: int, many: int
) -> BenchClip:
    """Write both streams into a folder; a clip that is too short is repeated.

    Args:
        folder: where they go.
        given: the user's clip; None for one that is made.
        size: height, width; None for the user's clip as it is, its codec and bit rate included.
        few: frames of the short stream.
        many: frames of the long one.

    Raises:
        SourceError: the user's clip cannot be read.
        SinkError: FFmpeg cannot write it.
    """
    paths: list[Path] = []
    counts: list[int] = []
    for name, frames in (("short", few), ("long", many)):
        path = folder / f"{name}.{'mp4' if size else 'mkv'}"  # Matroska holds whatever is copied
        _write(_command(given, size, path, frames))
        paths.append(path)
        counts.append(sum(1 for _ in VideoSource(path).frames()))
    if counts[0] >= counts[1]:
        raise SourceError(
            f"{given}: {counts[1]} frames can be had of it as it is; name a size, and it is converted"
        )
    return BenchClip(paths[0], paths[1], counts[0], counts[1])


def _command(given: Path | None, size: tuple[int, int] | None, path: Path, num_frames: int) -> list[str]:
    target = (local(path), {**(_CODING if size else {"c": "copy"}), "frames:v": num_frames})
    if given is None:
        assert size is not None
        return command_line((_graph(*size), {"f": "lavfi"}), target)
    source = (local(given), {"stream_loop": -1, "protocol_whitelist": PROTOCOLS})
    stream = f"0:{probe(given).stream_index}"
    if size is None:
        return command_line(source, target, maps=[stream])
    scaled = f"[{stream}]scale={size[1]}:{size[0]}[s0];[s0]setsar=1[s1]"
    return command_line(source, target, maps=["[s1]"], graph=scaled)


def _write(command: list[str]) -> None:
    code, log = run_ffmpeg(command)
    if code != 0:
        reason = f"FFmpeg cannot make the clip (exit code {code}): {first_error_line(log)}"
        raise SinkError(reason, exit_code=code, log=log)


def _graph(height: int, width: int) -> str:
    """FFmpeg's filters for a picture of noise at all scales, the coarser the stronger, as in nature: 1/f.

    The camera pans over it, a part of it passes in front, and every frame has noise of its own. All of it is
    in 4:4:4: in 4:2:0 FFmpeg moves by two pixels or not at all, and frames would repeat.
    """
    tall, wide = 2 * height, 2 * width
    octaves = [2**power for power in range(12) if wide >> power >= _COARSEST]
    parts = [
        f"color=gray:s={max(2, wide // step)}x{max(2, tall // step)}:r=25,format=yuv444p,"
        f"noise=alls=100:all_seed={step},trim=end_frame=1,scale={wide}x{tall}:flags=bicubic[octave{step}]"
        for step in octaves
    ]
    mixed = "octave1"
    for step in octaves[1:]:
        parts.append(f"[{mixed}][octave{step}]blend=all_mode=average[mixed{step}]")
        mixed = f"mixed{step}"
    contrast = r"lutyuv=y='clip(128+(val-128)*3\,16\,235)':u='128+(val-128)/2':v='128+(val-128)/2'"
    parts += [
        f"[{mixed}]{contrast},loop=loop=-1:size=1,setpts=N/25/TB,split[far][near]",
        f"[far]crop={width}:{height}:x='(iw-ow)*(0.5+0.5*sin(n/61))':y='(ih-oh)*(0.5+0.5*cos(n/47))'[back]",
        f"[near]crop={width // 3}:{height // 2}:x=0:y=0,hue=h=120[front]",
        "[back][front]overlay=x='(W-w)*(0.5+0.5*cos(n/23))':y='H/4':format=yuv444,noise=alls=8:allf=t",
    ]
    return ";".join(parts)


def ready_frames(clip: BenchClip, wanted: int, budget_bytes: int, scale: int) -> list[Frame]:
    """The first frames of a clip, as many as wanted and as fit into a budget once enlarged; four at least."""
    frames: list[Frame] = []
    for frame in VideoSource(clip.long).frames():
        frames.append(frame)
        size = sum(plane.nbytes for plane in frame.planes) * scale**2
        if len(frames) >= wanted or (len(frames) >= 4 and (len(frames) + 1) * size > budget_bytes):
            break
    return frames
