"""Where a camera's enhanced frames go: one encode, and from it all of the camera's outputs.

`write` hands over and returns; a thread of the sink's labels and encodes the newest. While the camera is away
the last picture goes on, so that players stay connected.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from typing import Any

import av
from av.stream import Stream

from vsr.errors import VsrError
from vsr.frames import Frame, PictureFormat
from vsr.live.frame_notes import FrameNotes
from vsr.live.newest_wins import DroppingWorker
from vsr.live.outputs.absent_picture import StandIn
from vsr.live.outputs.encoder import LiveEncode, LiveEncoder, why_software
from vsr.live.outputs.live_output import LiveOutput, OutputStatus
from vsr.live.outputs.output_clock import OutputClock
from vsr.live.outputs.passthrough import PacketTaker, Passthrough
from vsr.live.outputs.snapshots import Snapshots, snapshot
from vsr.live.packets import TICKS, Message
from vsr.live.push.order import PushOrder
from vsr.live.push.recording import ORIGINAL
from vsr.live.serving.hub import Publisher
from vsr.live.target_options import OutputOptions
from vsr.media import find_ffmpeg
from vsr.quality import Label, draw_label

_STUCK_S, _START_S = 5.0, 30.0
"""An encoder that has taken so long over one frame is killed and started again; over its first ones, it starts: killed
too early, on a machine that is busy for minutes, it would be started again and again, and never encode anything."""
_PAUSE_S = 2.0
"""Between two attempts to start an encoder that fails."""
_CLOSE_S, _ENCODER_CLOSE_S = 3.5, 1.0
"""Closing takes no longer; how much of it the encoder may have before it is killed."""
_WAITING, _WAITING_AT_FIRST = 2, 8
"""Frames that may wait for the encoder, and for one that starts, which
takes as long as four to six frames."""
_FIRST_S = 1.0
"""How soon an encoder must have caught up with what waited for its start."""
_GONE_S = 2.0
"""Without a frame for so long, nothing can be expected of what passes on the camera's own packets."""


@dataclass(frozen=True)
class SinkOptions:
    """What happens to a camera's frames before they go out."""

    encode: LiveEncode = field(default_factory=LiveEncode)
    """How all outputs of packets are encoded."""
    label: bool = False
    """Burn camera, time and "enhanced" into the picture."""
    record_original: bool = False
    """Record what the camera sent beside each recording."""
    format: PictureFormat | None = None
    """What is shown in black if the camera is away before its first frame; None shows nothing until then."""


@dataclass(frozen=True)
class SinkStatus:
    """How a sink and its outputs do."""

    encoder: str
    """FFmpeg's name of the encoder, empty before the first frame."""
    why: str
    """Why this one, or what is wrong with it."""
    written: int
    """Frames encoded, those of an absent camera included."""
    dropped: int
    """Frames that the encoder was too slow for."""
    encoder_restarts: int
    outputs: tuple[OutputStatus, ...]


class LiveSink:
    """All outputs of one camera.

    `write`, `away` and `close` belong to one thread, `packet` to the camera's; none but `close` waits.

    Args:
        name: the camera's.
        outputs: where the stream goes.
        options: what happens on the way.
        callback: gets enhanced frames as they are, in a thread of its own; of those
            that come while it is busy the newest.
        served: get what viewers may watch, enhanced and original, None for no such. Where there is no other output,
            pictures are encoded while those are wanted.
        notes: hear of every picture that is encoded.

    Raises:
        ConfigError: an output cannot work as configured.
    """

    def __init__(
        self,
        name: str,
        outputs: Sequence[OutputOptions],
        options: SinkOptions = SinkOptions(),
        *,
        callback: Callable[[Frame], None] | None = None,
        served: tuple[Publisher, Publisher | None] | None = None,
        notes: FrameNotes | None = None,
    ):
        self.name, self._options, self._notes = name, options, notes
        self._encode = _with_segments(options.encode, outputs)
        self._outputs: list[LiveOutput] = []
        self._originals: list[LiveOutput] = []
        self._snapshots: list[Snapshots] = []
        self._callbacks: list[Snapshots] = []
        try:
            for one in outputs:
                self._add(one)
        except BaseException:
            self._close_outputs(time.monotonic())
            raise
        if callback is not None:
            self._callbacks.append(
                Snapshots(callback, kind="callback", target=getattr(callback, "__name__", "function"))
            )
        self._encoder: LiveEncoder | None = None
        self._why, self._restarts, self._written, self._retry_s = "", 0, 0, 0.0
        self._stand_in = StandIn(name, options.format)
        self._clock = OutputClock()
        self._flows_since_s = self._written_s = 0.0
        enhanced, originals = ([served[0]], [one for one in served[1:] if one]) if served else ([], [])
        self._takers: list[PacketTaker] = [*self._outputs, *enhanced]
        has_others = self._outputs or self._snapshots or self._callbacks or notes
        self._on_demand = served[0] if served and not has_others else None
        self._passthrough = Passthrough(name, self._takers, [*self._originals, *originals])
        self._begun_s = 0.0
        self._worker: DroppingWorker[Frame | float | None] = DroppingWorker(
            self._take, depth=_WAITING_AT_FIRST, name=f"vsr-sink-{name}"
        )
        self._worker.put(None)

    def _add(self, options: OutputOptions) -> None:
        if options.kind == "snapshot":
            self._snapshots.append(snapshot(options))
            return
        self._outputs.append(LiveOutput(PushOrder(options, self.name)))
        if options.kind == "record" and self._options.record_original:
            self._originals.append(LiveOutput(PushOrder(options, self.name, ORIGINAL)))

    @property
    def is_idle(self) -> bool:
        """Whether there is no output, pictures are served on demand, and nobody watches; from any thread."""
        return self._on_demand is not None and self._on_demand.is_idle

    def rest(self) -> None:
        """End the encoder; the next picture that is wanted starts another."""
        self._worker.put(None)

    def write(self, frame: Frame) -> None:
        """Hand over an enhanced frame. A new size or layout starts a new encode;
        outputs take it up as they can."""
        now = time.monotonic()
        if now - self._written_s > _GONE_S:
            self._flows_since_s = now
        self._written_s = now
        self._look_after_encoder()
        self._worker.put(frame)

    def away(self, since_s: float) -> None:
        """Show the last frame again, dimmed, with the seconds since the camera
        went; to be called once a frame time.

        Before the first frame this shows black of the configured size, or nothing.
        """
        self._look_after_encoder()
        self._worker.put(since_s)

    def packet(self, packet: "av.Packet[Any]", shift: int, streams: Sequence[Stream]) -> None:
        """Pass on what the camera sent: its sound, and for `record_original`
        its video. In the camera's thread.

        Args:
            packet: as demuxed; copied.
            shift: what makes its times those of the frames, in ticks of 1/90000 s.
            streams: all that packets come from, of one container.
        """
        self._passthrough.packet(packet, shift=shift, streams=streams, ahead=self._clock.shift)

    @property
    def status(self) -> SinkStatus:
        """How it does; from any thread."""
        encoder, now = self._encoder, time.monotonic()
        flows_s = now - self._flows_since_s if now - self._written_s < _GONE_S else 0.0
        outputs = [part.judged(flows_s) for part in (*self._outputs, *self._originals)]
        return SinkStatus(
            encoder.choice.encoder if encoder else "",
            self._why,
            self._written,
            self._worker.dropped,
            self._restarts,
            (*outputs, *(part.status for part in (*self._snapshots, *self._callbacks))),
        )

    @property
    def encoder_pid(self) -> int | None:
        """Process number of the encoder, where one runs."""
        encoder = self._encoder
        return encoder.pid if encoder else None

    def close(self) -> None:
        """Finish all files and end all processes and threads, within four seconds. Harmless twice."""
        until = time.monotonic() + _CLOSE_S
        encoder_until = time.monotonic() + _ENCODER_CLOSE_S
        if self._encoder is not None:
            self._encoder.wake()
        try:
            self._worker.close(_ENCODER_CLOSE_S / 2)
        except TimeoutError:
            if self._encoder is not None:
                self._encoder.kill()  # a write that blocks then returns
            self._worker.close()
        if self._encoder is not None:
            self._encoder.close(max(0.1, encoder_until - time.monotonic()))
            self._encoder = None
        self._close_outputs(until)

    def _close_outputs(self, until: float) -> None:
        """All at the same time: one that has frozen takes nothing from the others."""
        for output in (*self._outputs, *self._originals):
            output.begin_close(until)
        for one in (*self._snapshots, *self._callbacks):
            one.close(max(0.1, until - time.monotonic()))
        for output in (*self._outputs, *self._originals):
            output.close()

    def _look_after_encoder(self) -> None:
        encoder = self._encoder
        since = encoder.busy_since_s if encoder else 0.0
        if encoder and since and time.monotonic() - since > (_STUCK_S if encoder.has_given else _START_S):
            encoder.kill()  # the thread that waits for it then starts another

    # What follows runs in the sink's own thread.

    def _take(self, item: Frame | float | None) -> None:
        if item is None:
            self._end_encoder()
            # While the camera connects: asking FFmpeg and drivers what they have takes half a second.
            with contextlib.suppress(VsrError):
                why_software(find_ffmpeg())
            return
        if isinstance(item, Frame):
            self._stand_in.see(item)
            for callback in self._callbacks:
                callback.put(item)
            self._show(self._labelled(item), item)
            return
        picture = self._stand_in.picture(item)
        if picture is not None:
            self._show(picture, None)

    def _labelled(self, frame: Frame) -> Frame:
        if not self._options.label:
            return frame
        arrived = time.time() - (time.monotonic() - frame.arrived_s if frame.arrived_s else 0.0)
        # Tenths would cost a new drawing for each frame.
        when = datetime.fromtimestamp(arrived).strftime("%Y-%m-%d %H:%M:%S")
        return draw_label(frame, Label(f"{self.name}  {when}  enhanced"))

    def _show(self, frame: Frame, shown: Frame | None) -> None:
        """Encode a picture; None is shown where it stands in. What fails is started again with a later one."""
        pts = self._clock.next(shown, time.monotonic())
        for one in self._snapshots:
            one.put(frame)
        wanted = not self._takers or any(one.wanted for one in self._takers)
        if self._encoder is not None and (not wanted or self._encoder.format != frame.format):
            self._end_encoder()
        if not wanted or (self._encoder is None and time.monotonic() < self._retry_s):
            return
        try:
            if self._encoder is None:
                self._worker.depth, self._begun_s = _WAITING_AT_FIRST, time.monotonic()
                self._encoder = LiveEncoder(frame.format, self._encode, self._deliver)
                self._why = self._encoder.choice.why
            self._encoder.write(replace(frame, pts=pts, time_base=Fraction(1, TICKS)))
            self._written += 1
            if self._notes is not None:
                self._notes.shown(shown)
            if len(self._worker) == 0 or time.monotonic() - self._begun_s > _FIRST_S:
                self._worker.depth = _WAITING
        except VsrError as error:
            self._encoder = None
            self._why, self._restarts = str(error), self._restarts + 1
            self._retry_s = time.monotonic() + _PAUSE_S

    def _end_encoder(self) -> None:
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None

    def _deliver(self, message: Message) -> None:
        """Give a message to all outputs; in the encoder's thread."""
        for taker in self._takers:
            taker.put(message)


def _with_segments(encode: LiveEncode, outputs: Sequence[OutputOptions]) -> LiveEncode:
    """Keyframes often enough for the shortest segments."""
    shortest = [output.segment_length_s for output in outputs if output.kind == "hls"]
    return replace(encode, keyframe_s=min([encode.keyframe_s, *shortest]))
