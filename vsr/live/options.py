"""Options of `vsr live`: frozen dataclasses whose fields are the keys of `configs/cameras.toml`.

A field's docstring is its help text. Checks that need only the values are made when the value is made;
`read_options` of `camera_file.py` checks everything that can be known before start.
"""

import os
import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from vsr.errors import ConfigError, SinkError
from vsr.live.address import Address, Credentials, resolve
from vsr.live.mqtt_options import MqttOptions
from vsr.live.region_options import RegionOptions
from vsr.live.serve_options import ServingOptions
from vsr.live.target_options import OutputOptions, above
from vsr.live.watch_options import BrowserOptions
from vsr.media import find_ffmpeg_with, pyav_speaks
from vsr.options import EngineOptions, ModelOptions, at_least

CAMERA_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "srt", "http", "https", "udp", "device", "file")


@dataclass(frozen=True)
class CameraOptions:
    """One camera and what becomes of it."""

    name: str
    """Letters, digits, - and _; goes into file names, labels and metrics."""
    url: str = field(repr=False)
    """rtsp://, rtmp://, http:// (HLS, MPEG-TS), udp:// and srt:// (MPEG-TS), /dev/video0,
    or a file, played over and over."""
    credentials_env: str = ""
    """Environment variable that holds USER:PASSWORD."""
    credentials_file: str = ""
    """File whose first line is USER:PASSWORD."""
    transport: Literal["auto", "tcp", "udp"] = "auto"
    """How RTSP sends; `auto` asks for TCP, then for UDP where that is refused or nothing comes, and
    begins with what worked the next time."""
    decoder: Literal["auto", "software", "nvdec"] = "auto"
    """What decodes: the CPU, or NVDEC on an NVIDIA GPU; `auto` takes NVDEC on the GPU that the networks run
    on, if they do on one."""
    stall_s: float = 5.0
    """Seconds without a decoded frame after which the camera is opened anew."""
    frozen_s: float = 30.0
    """Seconds of the very same picture after which it counts as frozen; 0 for never."""
    label: bool = False
    """Burn camera, time and "enhanced" into the picture."""
    record_original: bool = False
    """Record what the camera sent, untouched, beside the enhanced recording."""
    evidence: bool = False
    """Keep a record of all recorded files and of what happened to the camera, in the folder evidence/ beside them;
    the original is recorded, too."""
    case: str = ""
    """Text that the record names: a case number, who asked, who is at work."""
    sign: str = ""
    """What signs the record: a private key's file, as `vsr evidence key` makes one, or exec:PROGRAM."""
    allow_generative: bool = False
    """Let models paint what is not in the source where a record is kept, which says so."""
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
    outputs: tuple[OutputOptions, ...] = ()
    """Where the enhanced stream goes, all from one encode."""
    regions: tuple[RegionOptions, ...] = ()
    """Parts of the picture that are enhanced by themselves, from the same decode."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.name):
            raise ConfigError(f"name {self.name!r} cannot be used; letters, digits, - and _ are accepted")
        above(0, stall_s=self.stall_s)
        above(-1e-9, frozen_s=self.frozen_s)
        if not 0 <= self.quality <= 100:
            raise ConfigError(f"quality {self.quality} is out of range; 0 to 100 is accepted")
        if not self.evidence and (self.case or self.sign or self.allow_generative):
            raise ConfigError("case, sign and allow_generative are of a record; set evidence")
        _ = self.wish
        if not self.url:
            raise ConfigError(
                "url is empty; rtsp://HOST/PATH, another stream, a device or a file is accepted"
            )
        scheme = resolve(self.url).scheme
        if scheme not in CAMERA_SCHEMES:
            raise ConfigError(
                f"{scheme}:// is no camera; {', '.join(CAMERA_SCHEMES[:8])}, /dev/video0 or a file is"
            )

    @property
    def wish(self) -> ModelOptions:
        """For a clean or a real network."""
        return ModelOptions(source=self.source, denoise=self.denoise)

    @property
    def records_original(self) -> bool:
        """Whether what the camera sends is recorded: evidence is never without it."""
        return self.record_original or self.evidence

    @property
    def recordings(self) -> tuple[OutputOptions, ...]:
        """Those of its outputs that are files of all that was seen."""
        return tuple(output for output in self.outputs if output.kind == "record")

    @property
    def streams(self) -> tuple[tuple[str, tuple[OutputOptions, ...]], ...]:
        """Name and outputs of all that is made of the camera: the whole picture, then its regions."""
        regions = ((f"{self.name}-{region.name}", region.outputs) for region in self.regions)
        return ((self.name, self.outputs), *regions)

    @property
    def address(self) -> Address:
        """The URL with its user and password, read now.

        Raises:
            ConfigError: credentials cannot be read, or this FFmpeg does not speak the protocol.
        """
        address = resolve(self.url, Credentials(self.credentials_env, self.credentials_file))
        if address.scheme == "srt":
            _check_srt(address)
        return address


def _check_srt(address: Address) -> None:
    """Raise ConfigError where nobody here reads by SRT, or what SRT does not have is asked for."""
    if "@" in urlsplit(address.url).netloc:
        raise ConfigError(
            f"{address.shown}: SRT has no user and password; ?passphrase= and ?streamid= of the URL are what it has"
        )
    try:
        _ = pyav_speaks("srt") or find_ffmpeg_with("srt")
    except SinkError as error:
        raise ConfigError(f"{address.shown} cannot be read: {error}") from None


@dataclass(frozen=True)
class LiveOptions:
    """Everything `vsr live` can be told."""

    cameras: tuple[CameraOptions, ...]
    latency_ms: int = 300
    """Target for the time from a frame's arrival to the encoder's input; what
    is too slow gets a smaller model."""
    models: tuple[str, ...] = ()
    """Models to choose from, the best first; bicubic and fewer frames follow by
    themselves. Empty: those that suit."""
    scale: Literal[1, 2, 3, 4] = 2
    """Enlargement of height and width."""
    engine: EngineOptions = field(default_factory=EngineOptions)
    """Device, precision and threads of the networks."""
    metrics_port: int = 0
    """Loopback port of /metrics and /healthz; 0 for none."""
    watch: BrowserOptions = field(default_factory=BrowserOptions)
    """The page of all cameras."""
    log: Literal["text", "json"] = "text"
    """Kind of log lines."""
    serve: ServingOptions = field(default_factory=ServingOptions)
    """Where players may pull what the cameras show."""
    mqtt: MqttOptions = field(default_factory=MqttOptions)
    """A broker that is told how the cameras do."""

    def __post_init__(self) -> None:
        at_least(1, latency_ms=self.latency_ms)
        if not 0 <= self.metrics_port < 1 << 16:
            raise ConfigError(f"metrics_port {self.metrics_port} is no port; 0 to 65535 is accepted")
        if not self.cameras:
            raise ConfigError("there is no camera; add a [[cameras]] table with name and url")
        streams = [stream for camera in self.cameras for stream in camera.streams]
        names = [name for name, _ in streams]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"two cameras are named {name!r}; every camera needs a name of its own")
        owners: dict[str, str] = {}
        for name, outputs in streams:
            for output in outputs:
                is_path = "://" not in output.target
                target = os.path.realpath(output.target) if is_path else output.target
                if target in owners:
                    both = f"camera {name!r} and camera {owners[target]!r}"
                    raise ConfigError(f"{both} have the same target; put {{name}} into it")
                owners[target] = name

    @property
    def is_served(self) -> bool:
        """Whether anybody can watch, by a player or in a browser."""
        return bool(self.serve.port or self.watch.port)

    @property
    def wishes(self) -> tuple[ModelOptions, ...]:
        """Of all cameras for clean or real networks, each once."""
        return tuple(dict.fromkeys(camera.wish for camera in self.cameras))

    @property
    def scales(self) -> tuple[int, ...]:
        """The cameras' scale, and those of regions besides, each once."""
        regions = [region.scale for camera in self.cameras for region in camera.regions]
        return (self.scale, *sorted({*regions} - {self.scale}))


def secret_places(options: LiveOptions) -> list[CameraOptions | OutputOptions | MqttOptions]:
    """All that has an address: cameras, their outputs and those of their regions, the broker."""
    places: list[CameraOptions | OutputOptions | MqttOptions] = [*options.cameras]
    places += [options.mqtt] if options.mqtt.host else []
    return places + [
        output for camera in options.cameras for _, outputs in camera.streams for output in outputs
    ]
