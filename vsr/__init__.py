"""Video super-resolution and deblurring as a stream."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vsr.engine.engine import Engine
    from vsr.errors import ConfigError, ModelError, SinkError, SourceError, VerifyError, VsrError
    from vsr.frames import Frame, PictureFormat, StreamInfo
    from vsr.media.images.probe_image import probe_image
    from vsr.media.images.stream import ImageSink, ImageSource
    from vsr.media.probe_video import probe
    from vsr.media.reading.source import ListSource, Source, VideoSource
    from vsr.media.writing.sink import FileSink, MemorySink, Sink
    from vsr.models.catalogue.names import choose_chain, load
    from vsr.models.spec import Context, Model, ModelSpec
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

_PLACES = {
    "options": "EncodeOptions EngineOptions EnhanceOptions JobOptions ModelOptions PictureOptions ReadOptions",
    "engine.engine": "Engine",
    "errors": "ConfigError ModelError SinkError SourceError VerifyError VsrError",
    "frames": "Frame PictureFormat StreamInfo",
    "media.images.probe_image": "probe_image",
    "media.images.stream": "ImageSink ImageSource",
    "media.probe_video": "probe",
    "media.writing.sink": "FileSink MemorySink Sink",
    "media.reading.source": "ListSource Source VideoSource",
    "models.catalogue.names": "choose_chain load",
    "models.spec": "Context Model ModelSpec",
    "pipeline": "PipelineOptions Report enhance",
}
"""Where the names come from. Imported when first asked for: a process that only muxes must not load torch,
which takes two seconds and 200 MB."""

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


def __getattr__(name: str) -> object:
    place = next((place for place, names in _PLACES.items() if name in names.split()), None)
    if place is None:
        raise AttributeError(f"module 'vsr' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"vsr.{place}"), name)
    return value
