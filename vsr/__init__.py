"""Video super-resolution and deblurring as a stream."""

from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.engine.engine import Engine
    from vsr.errors import ConfigError, ModelError, SinkError, SourceError, VerifyError, VsrError
    from vsr.frames import Frame, PictureFormat, StreamInfo
    from vsr.media.images.probe_image import probe_image
    from vsr.media.images.stream import ImageSink, ImageSource
    from vsr.media.probe_video import probe
    from vsr.media.reading.source import ListSource, Source, VideoSource
    from vsr.media.writing.sink import FileSink, MemorySink, Sink
    from vsr.models import Context, Model, ModelSpec, choose_chain, load
    from vsr.options import (
        EncodeOptions,
        EngineOptions,
        EnhanceOptions,
        JobOptions,
        ModelOptions,
        PictureOptions,
        ReadOptions,
    )
    from vsr.pipeline import PipelineOptions, Report, enhance

__version__ = "0.4.0"

__all__ = [
    "ConfigError",
    "Context",
    "EncodeOptions",
    "Engine",
    "EngineOptions",
    "EnhanceOptions",
    "FileSink",
    "Frame",
    "ImageSink",
    "ImageSource",
    "JobOptions",
    "ListSource",
    "MemorySink",
    "Model",
    "ModelError",
    "ModelOptions",
    "ModelSpec",
    "PictureFormat",
    "PictureOptions",
    "PipelineOptions",
    "ReadOptions",
    "Report",
    "Sink",
    "SinkError",
    "Source",
    "SourceError",
    "StreamInfo",
    "VerifyError",
    "VideoSource",
    "VsrError",
    "choose_chain",
    "enhance",
    "load",
    "probe",
    "probe_image",
]

__getattr__ = lazy_exports(__name__)
"""A process that only muxes must not load torch, which takes two seconds and 200 MB."""
