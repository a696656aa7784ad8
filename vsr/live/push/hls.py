"""HLS for any web server: a playlist and short segments in a folder. Runs in an output's process."""

import contextlib
from collections.abc import Sequence
from math import ceil

from vsr.durable import write_whole
from vsr.live.packets import Message
from vsr.live.push.muxer import Muxer
from vsr.live.push.order import PushOrder

_LISTED_S, _KEPT_S = 6.0, 2.0
"""How much is listed, twice of what a player holds back by the standard; how long it stays after that."""


class Hls:
    """A playlist and short fMP4 segments in a folder. Both appear by renaming, old segments are deleted.

    Plain HLS: FFmpeg's muxer writes no parts, which would need a server of their own to be of use. A reader
    finds a frame half a segment to two segments after it was encoded (measured: 0.6 s, p95 0.9, with segments
    of 0.5 s; 0.3 and 0.5 with 0.25 s). A player that goes by the standard stays three times
    EXT-X-TARGETDURATION behind that, whose least is 1 s, unless it is told otherwise.
    """

    def __init__(self, order: PushOrder, streams: Sequence[Message]):
        folder = order.folder
        folder.mkdir(parents=True, exist_ok=True)
        self._playlist = folder / "live.m3u8"
        if order.fresh:
            for path in (self._playlist, *folder.glob("live-*.m4s*"), *folder.glob("live-*.mp4*")):
                path.unlink(missing_ok=True)
        segment_s = order.output.segment_length_s
        # Keyframes come at most a second apart and a frame late now and then: where each is to begin a
        # segment, a little less than their distance is asked for, or two would make one of twice the length.
        least_s = 0.8 * segment_s if segment_s <= 1 else segment_s
        options = {
            "hls_time": f"{least_s:g}",
            "hls_list_size": str(max(6, ceil(_LISTED_S / segment_s))),
            "hls_delete_threshold": str(max(4, ceil(_KEPT_S / segment_s))),
            "hls_flags": "delete_segments+omit_endlist+independent_segments+temp_file+program_date_time"
            + ("" if order.fresh else "+append_list"),
            "hls_segment_type": "fmp4",
            "hls_fmp4_init_filename": "live-init.mp4",
            "hls_segment_filename": str(folder / "live-%d.m4s"),
            # Numbers go up over restarts of ours too, which no count of segments would.
            "hls_start_number_source": "epoch_us",
            "max_interleave_delta": "500000",
        }
        muxer = Muxer(str(self._playlist), format="hls", streams=streams, options=options, audio=order.audio)
        self.notes, self.mux, self.close = muxer.notes, muxer.mux, muxer.close

    def finish(self) -> None:
        """Tell players that nothing follows."""
        self.close()
        with contextlib.suppress(OSError):
            text = self._playlist.read_text(encoding="utf-8")
            write_whole(self._playlist, text + "#EXT-X-ENDLIST\n", synced=False)
