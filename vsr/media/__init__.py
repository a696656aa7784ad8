"""Everything that touches PyAV, FFmpeg or picture files."""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.media.clock_scan import clock_of
    from vsr.media.ffmpeg import (
        PROTOCOLS,
        QUIET,
        Child,
        command_line,
        ffmpeg_version,
        find_ffmpeg,
        first_error_line,
        is_bundled,
        list_encoders,
        local,
        run_ffmpeg,
    )
    from vsr.media.images.kinds import PICTURES, READABLE
    from vsr.media.images.metadata import MAX_PIXELS
    from vsr.media.images.numbered import STILLS, by_number, is_numbered, numbered_files
    from vsr.media.images.probe_image import is_image, probe_image
    from vsr.media.images.probe_numbered import probe_numbered
    from vsr.media.images.stream import ImageReport, ImageSink, ImageSource
    from vsr.media.jpeg_tables import jpeg_quality
    from vsr.media.matroska_header import has_own_colours
    from vsr.media.network import address_of, file_name, is_address
    from vsr.media.picture_facts import picture_format
    from vsr.media.pixels import PlanarConverter, make_frame
    from vsr.media.probe_video import best_stream, open_container, probe
    from vsr.media.protocols import find_ffmpeg_with, pyav_speaks
    from vsr.media.reading.coded_runs import EXPORT, CodedPicture, quantiser_of, read_runs
    from vsr.media.reading.decode import ReadCounts, decode_packet
    from vsr.media.reading.fields import as_read, describe_fields
    from vsr.media.reading.numbered_source import NumberedSource
    from vsr.media.reading.nvdec import why_no_nvdec
    from vsr.media.reading.source import Source, VideoSource
    from vsr.media.roundtrip import Codec, through_codec
    from vsr.media.standard_streams import (
        STANDARD,
        check_standard_output,
        is_standard,
        standard_output_is_read,
    )
    from vsr.media.target import check_target
    from vsr.media.vmaf import SMALLEST_V1, Vmaf, has_vmaf_v1
    from vsr.media.writing.encode import Encoded, VideoEncoder, is_disk_full
    from vsr.media.writing.encoder_table import ENCODERS
    from vsr.media.writing.encoder_trial import forget_trials
    from vsr.media.writing.encoders import EncoderChoice, choose_encoder, try_encoder
    from vsr.media.writing.muxers import CONTAINERS
    from vsr.media.writing.numbered_output import NumberedOutput
    from vsr.media.writing.output import FileOutput, Outputs, complete
    from vsr.media.writing.pipe_sink import PipeSink
    from vsr.media.writing.plan_outputs import plan_outputs
    from vsr.media.writing.raw_pipe import RawPipe
    from vsr.media.writing.report import WriteReport
    from vsr.media.writing.sink import FileSink, MemorySink, Sink

__getattr__ = lazy_exports(__name__)
