"""What an output's process is told: one line of JSON, before descriptions and packets."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vsr.live.address import Address, resolve
from vsr.live.target_options import OutputOptions
from vsr.toml_options import make_options

_MPEGTS_AUDIO = "aac mp2 mp3 ac3 eac3 opus"
_AUDIO = {
    "rtsp": "pcm_alaw pcm_mulaw aac opus mp3 ac3 adpcm_g722",
    "rtmp": "aac mp3",
    "udp": _MPEGTS_AUDIO,
    "srt": _MPEGTS_AUDIO,
    "stdout": _MPEGTS_AUDIO,
    "hls": "aac mp3 ac3 eac3",
}
"""Audio codecs that receivers of each kind understand; others would be muxed and not
heard, or stop the picture. They become AAC."""


@dataclass(frozen=True)
class PushOrder:
    """An output as configured, and what is known of it only when its process starts."""

    output: OutputOptions
    name: str
    """The camera's; names of recorded files begin with it."""
    suffix: str = ""
    """What they end with, before the extension."""
    num_streams: int = 1
    """How many descriptions follow."""
    ffmpeg: str = ""
    """The program that sends SRT."""
    stdout: int = -1
    """Descriptor of the service's standard output, handed to the process where that is the target."""

    @property
    def folder(self) -> Path:
        """Where files go."""
        return Path(resolve(self.output.target).url)

    @property
    def audio(self) -> frozenset[str]:
        """Audio codecs that the receiver takes as they are."""
        return frozenset(_AUDIO[self.output.kind].split())

    def to_line(self, address: Address) -> bytes:
        """Write the line. User and password stand in the target: a process gets none of our variables."""
        output = replace(self.output, target=address.url, credentials_env="", credentials_file="")
        return json.dumps(asdict(replace(self, output=output))).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "PushOrder":
        """Read what `to_line` wrote."""
        return make_options(cls, json.loads(line))
