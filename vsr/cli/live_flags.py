"""What `vsr live` is told on its command line, and the options that come of it."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vsr.cli.live_page import watched
from vsr.errors import ConfigError
from vsr.live import CameraOptions, LiveOptions, OutputKind, OutputOptions, check_camera, read_options
from vsr.media import is_standard
from vsr.options import EngineOptions


@dataclass(frozen=True)
class CameraFlags:
    """The one camera of `vsr live URL`; a file of cameras says all this itself."""

    name: str = "camera"
    """Goes into labels, file names and metrics."""
    output: Annotated[
        tuple[str, ...], Parameter(name=["--output", "-o"], allow_leading_hyphen=True, show_default=False)
    ] = field(default=(), repr=False)
    """Push to rtsp://, rtmp://, srt:// or udp://, or write MPEG-TS to standard output (-); may be given several
    times."""
    hls: str = ""
    """Folder for HLS."""
    record: str = ""
    """Folder for recordings in segments of a minute."""
    snapshot: str = ""
    """JPEG file that is always the latest picture."""
    record_original: bool = False
    """Record what the camera sent, untouched, beside the recording."""
    evidence: bool = False
    """Keep a record of all recorded files and of what happened to the camera, in the folder evidence/ beside them; the
    original is recorded, too."""
    case: str = ""
    """Text that the record names: a case number, who asked, who is at work."""
    sign: str = ""
    """What signs the record: a private key's file, or exec:PROGRAM."""
    allow_generative: bool = False
    """Let models paint what is not in the source where a record is kept, which says so."""
    label: bool = False
    """Burn camera, time and "enhanced" into the picture."""
    transport: Literal["auto", "tcp", "udp"] = "auto"
    """How RTSP is received."""
    credentials_env: str = ""
    """Environment variable that holds USER:PASSWORD of the camera."""
    credentials_file: str = ""
    """File whose first line is USER:PASSWORD of the camera."""
    source: Literal["auto", "clean", "real"] = "auto"
    """Variant of a model: `clean` for good pictures, `real` for compressed and noisy ones; `auto` looks at them. A
    model named in full is taken as it is."""
    denoise: Literal["auto"] | float = "auto"
    """How much noise and compression is taken off, from 0, by the clean network, to 1, for the worst by its `-real`
    one; `auto` measures how much there is. Instead of source."""
    encoder: Literal["auto", "nvenc", "x264"] = "auto"
    """`auto` takes NVENC where it works."""
    quality: int = 60
    """0 to 100, the scale of `vsr enhance`."""


@dataclass(frozen=True)
class LiveFlags:
    """What all cameras share; wins over the file."""

    latency: int | None = None
    """Target in milliseconds from a frame's arrival to the encoder's input; what is
    slower gets a smaller model. Default: 300."""
    model: Annotated[tuple[str, ...], Parameter(show_default=False)] = ()
    """Models to choose from, the best first; bicubic and fewer frames follow.
    Default: those that suit the device."""
    scale: Literal[1, 2, 3, 4] | None = None
    """Enlargement of height and width. Default: 2."""
    metrics: int | None = None
    """Port on 127.0.0.1 for /metrics and /healthz."""
    watch: int | None = None
    """Port of a page with all cameras, on 127.0.0.1 unless watch_host says otherwise."""
    watch_host: str = ""
    """Address that the page listens on; any but this machine's own, such as 0.0.0.0, wants a token."""
    watch_token_file: str = ""
    """File with the hash of the page's token; where there is none it is made, and the token shown once."""
    serve: str = ""
    """Let players pull the cameras at [HOST:]PORT, as rtsp://127.0.0.1:PORT/NAME and /NAME/original."""
    serve_users: str = ""
    """File with a USER:PASSWORD a line, of those who may watch; any HOST but 127.0.0.1 wants one."""
    serve_always: bool = False
    """Enhance and encode even while nobody watches: pictures are there at once."""
    log: Literal["text", "json"] | None = None
    """Lines for people, or one JSON object a line and no table. Default: text."""
    duration: float = 0.0
    """End after so many seconds; 0 for never."""
    debug: bool = False
    """Show a traceback with an error."""


def live_options(cameras: str, camera: CameraFlags, run: LiveFlags, engine: EngineOptions) -> LiveOptions:
    """Options of a file of cameras, or of one camera by its URL; flags win over the file.

    Raises:
        ConfigError: what is named does not exist, or two things do not go together.
    """
    options = _from_file(cameras, camera) if is_file(cameras) else _from_flags(cameras, camera)
    return _overridden(options, run, engine)


def is_file(cameras: str) -> bool:
    """Whether a file of cameras is named, and not a camera."""
    return cameras.endswith(".toml")


def _from_file(path: str, flags: CameraFlags) -> LiveOptions:
    if flags != CameraFlags():
        raise ConfigError(
            f"{path} says itself where its cameras are and where they go; put that into the file"
        )
    return read_options(path)


def _from_flags(url: str, flags: CameraFlags) -> LiveOptions:
    outputs = [OutputOptions(_kind_of(target), target) for target in flags.output]
    paths: dict[OutputKind, str] = {"hls": flags.hls, "record": flags.record, "snapshot": flags.snapshot}
    outputs += [
        OutputOptions(kind, path.replace("{name}", flags.name)) for kind, path in paths.items() if path
    ]
    camera = CameraOptions(
        flags.name,
        url,
        flags.credentials_env,
        flags.credentials_file,
        flags.transport,
        label=flags.label,
        record_original=flags.record_original,
        evidence=flags.evidence,
        case=flags.case,
        sign=flags.sign,
        allow_generative=flags.allow_generative,
        source=flags.source,
        denoise=flags.denoise,
        encoder=flags.encoder,
        quality=flags.quality,
        outputs=tuple(outputs),
    )
    address = camera.address
    if address.scheme == "file" and not Path(address.url).is_file():
        accepted = "a URL, a device, a video file or a .toml file is accepted"
        raise ConfigError(f"{address.url!r} does not exist; {accepted}")
    check_camera(camera)
    return LiveOptions((camera,))


def _kind_of(target: str) -> OutputKind:
    """What --output names."""
    if is_standard(target):
        return "stdout"
    scheme = target.partition("://")[0].lower()
    kinds: dict[str, OutputKind] = {"rtsp": "rtsp", "rtmp": "rtmp", "srt": "srt", "udp": "udp"}
    kinds |= {"rtsps": "rtsp", "rtmps": "rtmp"}
    if "://" not in target or scheme not in kinds:
        raise ConfigError(
            "an output is none of rtsp://, rtmp://, srt://, udp:// and -; folders go to --hls and --record, a JPEG to"
            " --snapshot"
        )
    return kinds[scheme]


def _overridden(options: LiveOptions, run: LiveFlags, engine: EngineOptions) -> LiveOptions:
    """Flags win over the file."""
    return replace(
        options,
        latency_ms=options.latency_ms if run.latency is None else run.latency,
        models=run.model or options.models,
        scale=options.scale if run.scale is None else run.scale,
        metrics_port=options.metrics_port if run.metrics is None else run.metrics,
        watch=watched(options.watch, run.watch, run.watch_host, run.watch_token_file),
        log=options.log if run.log is None else run.log,
        serve=options.serve.told(run.serve, run.serve_users, always=run.serve_always),
        engine=options.engine if engine == EngineOptions() else engine,
    )
