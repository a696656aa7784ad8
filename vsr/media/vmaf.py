"""VMAF through FFmpeg's libvmaf. Both clips go through one pipe, side by side; nothing is written to disk."""

import contextlib
import os
import re
import subprocess
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from vsr.errors import ConfigError, SinkError
from vsr.media.ffmpeg import (
    Child,
    Options,
    command_line,
    find_ffmpeg,
    find_remuxer,
    first_error_line,
    has_filter,
    run_ffmpeg,
)

Planes = npt.NDArray[Any]
"""(height, width) luma, or (3, height, width) luma, Cb and Cr; BT.601, black 16, grey 128."""

MODELS = {"v0": "vmaf_v0.6.1", "v1": "vmaf_v1.0.16_3d0h"}
"""Both for 1080 lines seen from three times their height. The newer one sees colour, too."""

SMALLEST_V1 = 360
"""Pixels that each side must have for the newer model: on 270 lines it does not see colour (its statistics are
singular), and on 144 libvmaf crashes."""

_END_S = 600.0
"""How long FFmpeg may still measure after the last frame."""


def find_vmaf() -> str:
    """Return the path of an FFmpeg with libvmaf: the one that is used for everything, else imageio-ffmpeg's.

    Raises:
        ConfigError: neither has it.
    """
    tried = dict.fromkeys((find_ffmpeg(), find_remuxer()))
    for binary in tried:
        if has_filter(binary, "libvmaf"):
            return binary
    raise ConfigError(f"vmaf: {' and '.join(tried)} has no libvmaf; set VSR_FFMPEG to an FFmpeg that has")


def has_vmaf_v1() -> bool:
    """Whether the FFmpeg that has libvmaf has its newer models, too, by measuring a frame.

    Raises:
        ConfigError: none has libvmaf.
    """
    gray = (f"color=s={SMALLEST_V1}x{SMALLEST_V1}:d=0.04", {"f": "lavfi"})
    command = _measuring(gray, f"[0:v]split=2[s0][s1];[s0][s1]libvmaf={_model('v1')}[measured]", find_vmaf())
    return run_ffmpeg(command)[0] == 0


def _model(name: str) -> str:
    return rf"model=version\\={MODELS[name]}"  # escaped for the option's value, and once more for the graph


def _measuring(source: tuple[str, Options], graph: str, binary: str) -> list[str]:
    flags = ("-hide_banner", "-nostats")  # not quiet: the score is in the log
    return command_line(
        source, ("-", {"f": "null"}), maps=["[measured]"], graph=graph, flags=flags, binary=binary
    )


class Vmaf:
    """Measures the VMAF of one clip (mean over frames) while its frames pass by.

    A context: leaving it ends FFmpeg, whatever happened. Used from one
    thread; for another clip, enter it again.

    Args:
        threads: of libvmaf.
        model: of `MODELS`; `v1` sees colour and wants it.

    Raises:
        ConfigError: no FFmpeg here has libvmaf.
    """

    def __init__(self, *, threads: int = 2, model: Literal["v0", "v1"] = "v0"):
        self._binary, self._threads, self.model = find_vmaf(), threads, model
        self._child: Child | None = None
        self._pipe = -1

    def __enter__(self) -> Self:
        self._child, self._pipe = None, -1
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.kill()
        self._close()

    def add(self, result: Planes, original: Planes) -> None:
        """Take the next frame.

        Args:
            result, original: an odd last row or column is left out; grey where there is luma alone.

        Raises:
            SinkError: FFmpeg has ended.
        """
        height, width = (side // 2 * 2 for side in result.shape[-2:])
        pair = np.concatenate([planes[..., :height, :width] for planes in (result, original)], axis=-1)
        luma, chroma = (
            (pair, np.full((height // 2, 2 * width), 128)) if pair.ndim == 2 else (pair[0], pair[1:])
        )
        if chroma.ndim == 3:
            chroma = chroma.reshape(2, height // 2, 2, width, 2).mean((2, 4))
        if self._child is None:
            self._start(height, width)
        try:
            for plane in (luma, chroma):
                view = memoryview(np.rint(plane).astype(np.uint8).tobytes())
                while view:
                    view = view[os.write(self._pipe, view) :]
        except OSError as error:
            raise self._error() from error

    def value(self) -> float:
        """Return the mean of all frames, 0 to 100; call it once, after the last frame.

        Raises:
            SinkError: FFmpeg failed, or there was no frame.
        """
        if self._child is None:
            raise SinkError("VMAF: there was no frame")
        self._close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_END_S)
        found = re.search(r"VMAF score: ([\d.]+)", self._child.log)
        if found is None:
            raise self._error()
        return float(found[1])

    def _start(self, height: int, width: int) -> None:
        raw = {"f": "rawvideo", "pix_fmt": "yuv420p", "s": f"{2 * width}x{height}", "r": 25}
        graph = (
            f"[0:v]split=2[s0][s1];[s0]crop={width}:{height}:0:0[s2];[s1]crop={width}:{height}:{width}:0[s3];"
            f"[s2][s3]libvmaf={_model(self.model)}:n_threads={self._threads}[measured]"
        )
        read_end, self._pipe = os.pipe()
        try:
            self._child = Child(_measuring(("pipe:0", raw), graph, self._binary), stdin=read_end)
        finally:
            os.close(read_end)

    def _close(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def _error(self) -> SinkError:
        assert self._child is not None
        code = self._child.kill()
        log = self._child.log
        return SinkError(
            f"FFmpeg's libvmaf ended with {code}: {first_error_line(log)}", exit_code=code, log=log
        )
