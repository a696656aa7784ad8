"""One low-latency encode: raw frames go to an FFmpeg child through a pipe, packets come back through another.

H.264 in 8 bits and 4:2:0 whatever comes in, because that is what players of live streams take; no B-frames, a
closed group of pictures a second, parameter sets before each keyframe, so that any packet with a keyframe
begins a stream.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Literal

import av
from av.error import FFmpegError

from vsr.errors import SinkError
from vsr.frames import Frame, PictureFormat
from vsr.live import child_pipes
from vsr.live.newest_wins import in_background
from vsr.live.packets import TICKS, Message, describe_stream, packet_message
from vsr.media import (
    QUIET,
    EncoderChoice,
    RawPipe,
    choose_encoder,
    command_line,
    find_ffmpeg,
    first_error_line,
)
from vsr.options import EncodeOptions

_ASKING = threading.Lock()

_END_S = 2.0
"""How long FFmpeg may take to give out its last packets."""

_SPECIFIC = {
    # Slices per thread would cost quality, frame threads a frame of delay each: zerolatency chooses slices.
    "libx264": {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "x264-params": "aud=1:repeat-headers=1:open-gop=0:scenecut=0",
    },
    "h264_nvenc": {
        "preset": "p2",
        "tune": "ull",
        "zerolatency": "1",
        "delay": "0",
        "aud": "1",
        "forced-idr": "1",
        "no-scenecut": "1",
        "strict_gop": "1",
    },
}


@dataclass(frozen=True)
class LiveEncode:
    """How the one encode of a camera is made."""

    encoder: Literal["auto", "nvenc", "x264"] = "auto"
    """`auto` takes NVENC where it works."""
    quality: int = 60
    """0 to 100, the scale of `vsr enhance`."""
    keyframe_s: float = 1.0
    """Seconds between keyframes, at most."""


def why_software(binary: str) -> str:
    """Say why live streams are encoded in software here, empty where NVENC
    works; may take a second the first time.

    Asked at one size, once: an encoder that does not work there works at no other, and trying it at the size
    of a camera's first frame made its next dozen wait.
    """
    with _ASKING:  # or all cameras of a service would ask the same at once
        return _refusals[-1] if _refusals else _why_software(binary)


_refusals: list[str] = []
"""Why NVENC took no more streams of this process although it works: consumer cards open so many sessions and no more.
From the first on new encoders are software."""


@lru_cache(maxsize=8)
def _why_software(binary: str) -> str:
    usual = choose_encoder(EncodeOptions(), PictureFormat(720, 1280), "mp4")
    return "" if "nvenc" in usual.encoder else usual.why


def choose_live_encoder(options: LiveEncode, format: PictureFormat) -> EncoderChoice:
    """Settle the encoder for pictures of `format`. NVENC is tried by encoding a few frames.

    Raises:
        SinkError: `nvenc` was asked for and does not work.
        ConfigError: the picture is too large.
    """
    kept = replace(
        format,
        height=format.height + format.height % 2,
        width=format.width + format.width % 2,
        bit_depth=8,
        layout="yuv420",
        alpha=False,
    )
    if format.layout in ("rgb", "gray"):
        kept = replace(kept, matrix="bt709", range="limited" if format.layout == "rgb" else format.range)
    wanted = EncodeOptions(encoder=options.encoder, quality=options.quality)
    why = why_software(find_ffmpeg()) if options.encoder == "auto" else ""
    choice = choose_encoder(replace(wanted, encoder="x264") if why else wanted, kept, "mp4")
    if choice.encoder not in _SPECIFIC:  # NVENC that makes HEVC alone
        choice = choose_encoder(replace(wanted, encoder="x264"), kept, "mp4")
    choice = replace(choice, why=why or choice.why)
    return _low_latency(choice, options, format, kept)


def _low_latency(
    choice: EncoderChoice, options: LiveEncode, format: PictureFormat, kept: PictureFormat
) -> EncoderChoice:
    arguments = {
        **dict(choice.arguments),
        **_SPECIFIC[choice.encoder],
        "bf": "0",
        # By time and not by number: the rate of live frames varies.
        "g": "600",
        # Counted from the last one: by the number of those forced so far, each frame after a gap would be one.
        "force_key_frames": f"expr:if(isnan(prev_forced_t),1,gte(t,prev_forced_t+{options.keyframe_s:g}))",
    }
    filters, notes = list(choice.filters), list(choice.notes)
    if (kept.height, kept.width) != (format.height, format.width):
        filters.insert(0, f"pad={kept.width}:{kept.height}")  # first, for it forgets tags
        notes.append(
            f"{format.width}x{format.height} is odd: a black line fills it up to {kept.width}x{kept.height}"
        )
    if format.bit_depth != 8 or format.layout != "yuv420":
        filters = _converting(format, kept) + filters
        notes.append("live outputs are 8 bits and 4:2:0")
    return replace(choice, arguments=tuple(arguments.items()), filters=tuple(filters), notes=tuple(notes))


def _converting(format: PictureFormat, kept: PictureFormat) -> list[str]:
    """Filters that convert to 4:2:0 in 8 bits and leave range and matrix as they are stated."""
    source, target = ("pc" if one.range == "full" else "tv" for one in (format, kept))
    if format.layout == "rgb":
        return [
            "setparams=range=pc",
            f"scale=out_color_matrix=bt709:in_range=pc:out_range={target}:flags=bicubic",
            "format=yuv420p",
        ]
    if (
        format.layout == "gray"
    ):  # whose codes newer versions take for full range whatever is stated: none is changed
        source = target = "pc"
    return [f"scale=in_range={source}:out_range={target}:flags=bicubic", "format=yuv420p"]


class LiveEncoder:
    """Feeds frames of one format to FFmpeg and hands its packets on.

    `write` and `close` belong to one thread; `kill` may be called from any,
    and makes a blocked `write` return.

    Args:
        format: of the frames to come.
        options: how to encode.
        deliver: called with each message in a thread of the encoder's: first the description of the video
            stream, then its packets, with the frames' own times. Must not block.
    """

    def __init__(self, format: PictureFormat, options: LiveEncode, deliver: Callable[[Message], None]):
        self.format = format
        self.choice = choose_live_encoder(options, format)
        self.busy_since_s = 0.0
        """When the frame that is now being written was begun, by `time.monotonic()`; 0 while none is."""
        self.has_given = False
        """Whether a packet has come; until then FFmpeg starts."""
        self._options, self._deliver = options, deliver
        self._first: int | None = None
        self._piped = child_pipes.start(_command(self.choice))
        self._pid = self._piped.child.pid
        write_end, self._piped.write_end = self._piped.write_end, -1
        try:
            self._pipe = RawPipe(write_end, format=format, time_base=Fraction(1, TICKS))
        except BaseException:
            self._piped.close()
            raise
        self._reader: Future[None] = in_background(self._read, name="vsr-live-packets")

    @property
    def pid(self) -> int:
        """Process number of the FFmpeg child."""
        return self._pid

    def write(self, frame: Frame) -> None:
        """Hand over one frame, later than the one before; blocks while FFmpeg is busy.

        Raises:
            SinkError: FFmpeg has ended.
        """
        pts = round(frame.pts * frame.time_base * TICKS)
        if self._first is None:
            self._first = pts
        self.busy_since_s = time.monotonic()
        try:
            self._pipe.write(frame.planes, pts - self._first)
        except OSError as error:
            raise self._death() from error
        finally:
            self.busy_since_s = 0.0

    def _read(self) -> None:
        """Work of the reading thread: until FFmpeg closes its output."""
        quick = {"probesize": "32", "analyzeduration": "0"}
        try:
            with av.open(f"pipe:{self._piped.read_end}", format="nut", options=quick) as container:
                stream = container.streams.video[0]
                self._deliver(describe_stream(stream))
                for packet in container.demux(stream):
                    message = packet_message(packet, shift=self._first or 0)
                    if message is not None:
                        self.has_given = True
                        self._deliver(replace(message, dts=message.pts))  # nothing is reordered
        except (OSError, FFmpegError, IndexError):
            return  # it has ended before or within a packet; `write` says why

    def _death(self) -> SinkError:
        code = self._piped.child.kill()
        reason = first_error_line(self._piped.child.log)
        if not self.has_given and "nvenc" in self.choice.encoder and self._options.encoder == "auto":
            _refusals.append(f"libx264, because NVENC took no more streams ({reason})")
        self.close()
        return SinkError(f"FFmpeg ({self.choice.encoder}) ended with {code}: {reason}", exit_code=code)

    def kill(self) -> None:
        """End the child without waiting for it; `write` then fails."""
        self._piped.child.signal_kill()

    def wake(self) -> None:
        """Let a child go on that somebody has stopped."""
        self._piped.wake()

    def close(self, timeout_s: float = _END_S) -> None:
        """Let FFmpeg give out its last packets, for `timeout_s` at most, and end it. Harmless twice."""
        if self._reader.done() and self._piped.read_end < 0:
            return
        # Not a wait with a timeout: the end of the stream may not fit into a pipe that nobody reads.
        watchdog = threading.Timer(timeout_s, self.kill)
        watchdog.start()
        try:
            self._pipe.close()
            self._reader.result()
        finally:
            watchdog.cancel()
            watchdog.join()
            self._piped.close()


def _command(choice: EncoderChoice) -> list[str]:
    quick = {"probesize": "32", "analyzeduration": "0"}
    options = {
        **dict.fromkeys(("an", "sn", "dn")),
        "f": "nut",
        "fps_mode": "passthrough",
        "enc_time_base": f"1/{TICKS}",
        "vf": ",".join(choice.filters),
        "flush_packets": "1",
        **dict(choice.arguments),
    }
    return command_line(("pipe:0", {"f": "nut", **quick}), ("pipe:1", options), flags=(*QUIET, "-copyts"))
