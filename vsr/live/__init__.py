"""Live streams: cameras in, enhanced streams out, for months."""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.live.address import Credentials, resolve
    from vsr.live.camera_file import check_camera, exposed_files, read_options
    from vsr.live.frame_notes import FrameNote
    from vsr.live.monitoring.log import EventLog, JsonLines, LogEvent, Secrets, TextLines
    from vsr.live.monitoring.mqtt import MqttReports
    from vsr.live.monitoring.prometheus import MetricsServer, health
    from vsr.live.newest_wins import in_background
    from vsr.live.onvif.camera_services import OnvifDevice, StreamProfile
    from vsr.live.onvif.discovery import FoundCamera, find_cameras
    from vsr.live.options import (
        CameraOptions,
        LiveOptions,
    )
    from vsr.live.push.recording import ORIGINAL, recorded_names
    from vsr.live.region_options import RegionOptions
    from vsr.live.retry import Backoff
    from vsr.live.scheduling.engines import EngineLevel
    from vsr.live.serve_options import ServingOptions
    from vsr.live.service import LiveService
    from vsr.live.service_view import CameraView, LiveView
    from vsr.live.target_options import OutputKind, OutputOptions
    from vsr.live.viewing.viewing_process import ViewingProcess
    from vsr.live.watch_options import BrowserOptions

__getattr__ = lazy_exports(__name__)
