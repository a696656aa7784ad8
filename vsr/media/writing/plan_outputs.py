"""Which files are made of one stream of frames: container, depth and encoder of each."""

from dataclasses import replace
from pathlib import Path

from vsr.durable import real_path
from vsr.errors import ConfigError
from vsr.frames import PictureFormat, StreamInfo
from vsr.media.images.kinds import KINDS, PICTURES
from vsr.media.images.numbered import is_numbered
from vsr.media.standard_streams import STANDARD, is_standard
from vsr.media.writing.encoders import EncoderChoice, choose_encoder, wanted_format
from vsr.media.writing.muxers import output_container
from vsr.media.writing.numbered_output import NumberedOutput
from vsr.media.writing.output import FileOutput, Outputs
from vsr.media.writing.pipe_sink import PipeOutput, raw_choice
from vsr.options import AlsoOptions, EncodeOptions


def plan_outputs(
    path: Path,
    source: StreamInfo,
    format: PictureFormat,
    options: EncodeOptions,
    also: AlsoOptions,
    *,
    trim: bool,
) -> Outputs:
    """Settle container and encoder of a result and, where one is wanted, of a second output.

    Args:
        path: of the result.
        source: whose other streams go along, and whose depth an output has unless another is asked for.
        format: of the frames to come, which are made as deep as the deepest output.
        options: of the result.
        also: the second output.
        trim: as `FileOutput` has it.

    Raises:
        ConfigError: a name, container, encoder and picture do not go together.
        SinkError: the encoder asked for does not work here.
    """
    if is_standard(path):
        return _into_pipe(source, format, options, also)
    wanted = _names(path, source, options, also)
    if any(is_numbered(name) for name, _ in wanted):
        format = format.as_in_picture_files()
    depths = [wanted_format(each, format).bit_depth for _, each in wanted]
    format = replace(format, bit_depth=max(depths))
    return Outputs(
        format,
        tuple(
            output_of(name, source, format, encode, trim=trim, stream=stream)
            for stream, (name, encode) in enumerate(wanted)
        ),
    )


def _names(
    path: Path, source: StreamInfo, options: EncodeOptions, also: AlsoOptions
) -> list[tuple[Path, EncodeOptions]]:
    """The name of each output, and how it is encoded."""
    wanted = [(path, options)]
    if also.also:
        named = path.parent if is_numbered(path) else path
        second = named.with_name(named.stem + also.also) if also.is_ending else Path(also.also)
        if real_path(second) == real_path(path):
            raise ConfigError(f"also {str(second)!r} is the first output itself; give it another name")
        wanted.append((second, also.encode))
    return [(name, _kept(encode, source, name)) for name, encode in wanted]


def _kept(encode: EncodeOptions, source: StreamInfo, name: Path) -> EncodeOptions:
    """The same options with the source's own depth and chroma written out, as one output must not get another's."""
    own = source.format
    if is_numbered(name):
        # 8 bits of R'G'B' do not tell all colours of 8 bits of Y'CbCr apart.
        if encode.bit_depth == "auto" and own.layout.startswith("yuv"):
            deep = KINDS[PICTURES[name.suffix.lower()]].depths[-1] == 16
            return replace(encode, bit_depth=16 if deep else 8)
        return encode
    if encode.bit_depth == "auto" and own.bit_depth in (8, 10, 12):
        encode = replace(encode, bit_depth=own.bit_depth)
    chroma = {"yuv420": "420", "yuv422": "422", "yuv444": "444"}.get(own.layout, "auto")
    return replace(encode, chroma=chroma) if encode.chroma == "auto" else encode


def output_of(
    path: Path,
    source: StreamInfo,
    format: PictureFormat,
    options: EncodeOptions,
    *,
    trim: bool,
    stream: int = 0,
    choice: EncoderChoice | None = None,
) -> FileOutput | NumberedOutput:
    """Settle container and encoder of one output, by its name.

    Raises:
        ConfigError, SinkError: as `plan_outputs`.
    """
    container = output_container(path, options)
    choice = choice or choose_encoder(options, format, container, source.mastering)
    if container not in KINDS:
        return FileOutput(path, source, container, choice, stream, trim)
    if format.layout not in ("rgb", "gray"):
        raise ConfigError(
            f"{path}: pictures are made of frames that an Engine(rgb=True) gives, not {format.layout}"
        )
    depth = wanted_format(options, format).bit_depth
    return NumberedOutput(path, source, container, choice, stream, bit_depth=depth, quality=options.quality)


def _into_pipe(
    source: StreamInfo, format: PictureFormat, options: EncodeOptions, also: AlsoOptions
) -> Outputs:
    """Raw pictures where the container is for such and nothing else is asked for, else encoded ones."""
    if also.also:
        raise ConfigError("also and a pipe exclude each other; write a file, and send that")
    container = output_container(STANDARD, options)
    format = replace(format, bit_depth=wanted_format(options, format).bit_depth)
    if options.encoder == "auto" and container in ("nut", "y4m"):
        choice = raw_choice(format, container)
    elif container == "y4m":
        raise ConfigError("y4m holds raw pictures alone; nut, ts and mkv hold encoded ones")
    else:
        choice = choose_encoder(options, format, container, source.mastering)
    return Outputs(format, (), PipeOutput(source, container, choice))
