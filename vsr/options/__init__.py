"""Options: frozen dataclasses whose fields are the keys of `configs/*.toml` and the flags of the commands.

A field's docstring is its help text. Checks that need only the value itself are made here, when the value is made.
"""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.options.enhance_options import EngineOptions, EnhanceOptions, JobOptions, ModelOptions
    from vsr.options.input_options import Language, PictureOptions, ReadOptions
    from vsr.options.notation import at_least, parse_aspect, parse_rate, parse_size, parse_time
    from vsr.options.output_options import AlsoOptions, EncodeOptions

__getattr__ = lazy_exports(__name__)
