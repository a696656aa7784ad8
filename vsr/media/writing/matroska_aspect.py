"""The sample aspect of a Matroska file, which PyAV cannot write. Copies the file once, with FFmpeg."""

from pathlib import Path

from vsr.errors import SinkError
from vsr.frames import PictureFormat
from vsr.media.ffmpeg import QUIET, command_line, find_remuxer, first_error_line, local, run_ffmpeg


def write_aspect(target: Path, format: PictureFormat) -> None:
    """Give a Matroska file its sample aspect, which it keeps in its header and PyAV has no way to set.

    Codecs such as AV1, VP9 and FFV1 have no place for it that players look at. The file is copied once more.

    Raises:
        SinkError: FFmpeg fails.
    """
    before = target.with_name(f"square-{target.name}")
    target.rename(before)
    shown = format.sample_aspect * format.width / format.height
    options = {
        "c": "copy",
        "default_mode": "passthrough",
        "map": "0",
        "map_metadata": "0",
        "avoid_negative_ts": "disabled",
        "aspect:v:0": f"{shown.numerator}/{shown.denominator}",
    }
    flags = (*QUIET, "-copyts")
    command = command_line((local(before), {}), (local(target), options), flags=flags, binary=find_remuxer())
    code, log = run_ffmpeg(command)
    before.unlink()
    if code != 0:
        raise SinkError(
            f"the sample aspect cannot be written: {first_error_line(log)}", exit_code=code, log=log
        )
