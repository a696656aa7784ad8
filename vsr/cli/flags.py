"""The flags that every command has that enhances files."""

from dataclasses import dataclass, field
from typing import Annotated

from cyclopts import Parameter

from vsr.options import (
    AlsoOptions,
    EncodeOptions,
    EngineOptions,
    EnhanceOptions,
    JobOptions,
    ModelOptions,
    PictureOptions,
    ReadOptions,
)

Flat = Parameter(name="*")
"""The fields of a class of options are flags of their own."""


@dataclass(frozen=True)
class EnhanceFlags:
    """`EnhanceOptions` as flags, in the order in which they are shown."""

    models: Annotated[ModelOptions, Flat] = field(default_factory=ModelOptions)
    read: Annotated[ReadOptions, Flat] = field(default_factory=ReadOptions)
    picture: Annotated[PictureOptions, Flat] = field(default_factory=PictureOptions)
    encode: Annotated[EncodeOptions, Flat] = field(default_factory=EncodeOptions)
    also: Annotated[AlsoOptions, Flat] = field(default_factory=AlsoOptions)
    engine: Annotated[EngineOptions, Flat] = field(default_factory=EngineOptions)
    job: Annotated[JobOptions, Flat] = field(default_factory=JobOptions)

    @property
    def options(self) -> EnhanceOptions:
        """What was asked for."""
        return EnhanceOptions(**vars(self))
