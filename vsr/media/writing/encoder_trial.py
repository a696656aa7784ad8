"""Whether FFmpeg really encodes: drivers, presets and tiny sizes are known to nobody else."""

from functools import lru_cache

from vsr.media.ffmpeg import command_line, find_ffmpeg, first_error_line, run_ffmpeg


def try_frames(
    height: int, width: int, pixel_format: str, arguments: tuple[tuple[str, str], ...]
) -> str | None:
    """Encode a few frames; return None if that works, else the first line of what FFmpeg says.

    What was tried once is remembered.
    """
    return _tried(find_ffmpeg(), f"color=s={width}x{height}:r=25", pixel_format, arguments)


def forget_trials() -> None:
    """Try again what has been tried: a GPU has few sessions, and others take and leave them."""
    _tried.cache_clear()


@lru_cache(maxsize=32)
def _tried(binary: str, source: str, pixel_format: str, arguments: tuple[tuple[str, str], ...]) -> str | None:
    options = {**dict(arguments), "vf": f"format={pixel_format}", "frames:v": "5", "f": "null"}
    command = command_line((source, {"f": "lavfi"}), ("-", options), binary=binary)
    code, log = run_ffmpeg(command, timeout_s=20)
    slow = code == -9  # stopped after 20 s: a heavy preset, not a broken one
    return None if code == 0 or slow else first_error_line(log)
