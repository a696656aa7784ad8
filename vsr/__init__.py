"""Video super-resolution and deblurring as a stream."""

from vsr.config import EncodeOptions, EngineOptions, EnhanceOptions, ModelOptions, ReadOptions
from vsr.engine.engine import Engine
from vsr.errors import ConfigError, ModelError, SinkError, SourceError, VerifyError, VsrError
from vsr.frames import Frame, PictureFormat, StreamInfo
from vsr.media.images import ImageSink, ImageSource
from vsr.media.probe import probe
from vsr.media.sink import FileSink, MemorySink
from vsr.media.source import ListSource, VideoSource
from vsr.models.catalogue import choose_chain, load
from vsr.pipeline import enhance

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
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
    "ModelError",
    "ModelOptions",
    "PictureFormat",
    "ReadOptions",
    "SinkError",
    "SourceError",
    "StreamInfo",
    "VerifyError",
    "VideoSource",
    "VsrError",
    "choose_chain",
    "enhance",
    "load",
    "probe",
]
