"""What a running service shows of a camera and its outputs, made up."""

from dataclasses import replace
from typing import Any

from vsr.live.cameras.status import CameraStatus
from vsr.live.outputs.live_output import OutputStatus
from vsr.live.outputs.live_sink import SinkStatus
from vsr.live.scheduling.overview import ChannelOverview, Overview
from vsr.live.service_view import CameraView, LiveView
from vsr.models import Verdict

STATUS = CameraStatus("playing", decoded=100, height=360, width=640, rate=25.0)
RECORD = OutputStatus("record", "recordings", "running", bytes=1000, bitrate_kbps=800.0)
SINK = SinkStatus("libx264", "libx264: software", 100, 2, 0, (RECORD, RECORD))
FACTS = ChannelOverview(
    number=0, name="door", camera=STATUS, fps_in=25.0, fps_out=24.0, latency_p50_s=0.03, latency_p95_s=0.05,
    arrived=100, delivered=90, dropped=3, bursts=1, thinned=1, failed=0, away_s=0.0, last_error="", network="fast-x2",
)  # fmt: skip
GRAINY = Verdict(is_real=True, why="noise 11, H.264 at quantiser 31 (compression 0.5)")


def view(*, sink: SinkStatus = SINK, facts: ChannelOverview = FACTS, **status: Any) -> LiveView:
    facts = replace(facts, camera=replace(STATUS, **status))
    return LiveView(Overview(level="fast-x2"), (CameraView(facts, sink),))
