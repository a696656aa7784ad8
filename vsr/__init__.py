"""Video super-resolution and deblurring as a stream."""

from vsr.config import EncodeOptions, EngineOptions, EnhanceOptions, ModelOptions, PictureOptions, ReadOptions
from vsr.engine.engine import Engine
from vsr.errors import ConfigError, ModelError, SinkError, SourceError, VerifyError, VsrError
from vsr.frames import Frame, PictureFormat, StreamInfo
from vsr.media.images import ImageSink, ImageSource, probe_image
from vsr.media.probe import probe
from vsr.media.sink import FileSink, MemorySink, Sink
from vsr.media.source import ListSource, Source, VideoSource
from vsr.models.catalogue import choose_chain, load
from vsr.models.spec import Context, Model, ModelSpec
from vsr.pipeline import PipelineOptions, Report, enhance

__version__ = "0.3.0"

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
