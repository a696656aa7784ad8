"""Options of an output: what is made of the enhanced stream, and where it goes.

A field's docstring is its help text. Checks that need only the values are made when the value is made.
"""

from dataclasses import dataclass, field
from typing import Literal

from vsr.errors import ConfigError
from vsr.live.address import Address, Credentials, resolve

OutputKind = Literal["rtsp", "hls", "srt", "rtmp", "udp", "stdout", "record", "snapshot"]

_OUTPUT_SCHEMES: dict[OutputKind, tuple[str, ...]] = {
    "rtsp": ("rtsp", "rtsps"),
    "rtmp": ("rtmp", "rtmps"),
    "srt": ("srt",),
    "udp": ("udp",),
    "stdout": ("file",),
    "hls": ("file",),
    "record": ("file",),
    "snapshot": ("file",),
}


@dataclass(frozen=True)
class OutputOptions:
    """One output of a camera."""

    kind: OutputKind
    """What is made: a push to a server (rtsp, srt, rtmp), MPEG-TS by UDP or into standard output, files in a folder
    (hls, record), or one JPEG file that is always the latest picture (snapshot)."""
    target: str = field(repr=False)
    """URL, folder (hls, record), JPEG file (snapshot) or - (stdout); {name} stands for the camera's name."""
    credentials_env: str = ""
    """Environment variable that holds USER:PASSWORD of the target."""
    credentials_file: str = ""
    """File whose first line is USER:PASSWORD of the target."""
    transport: Literal["tcp", "udp"] = "tcp"
    """How RTSP sends."""
    segment_s: float = 0.0
    """Seconds of a segment; 0 for the usual 60 of recordings and 0.5 of HLS. Each of HLS begins with a
    keyframe, in all outputs of a camera: 0.25 shows frames half as late and costs bits."""
    every_s: float = 1.0
    """Seconds between snapshots."""
    keep_hours: float = 0.0
    """Recordings older than this are deleted; 0 keeps them."""
    keep_gb: float = 0.0
    """The oldest recordings are deleted until all of this folder take no more than this; 0 for no limit."""
    min_free_gb: float = 1.0
    """Recording pauses, after deleting what may be deleted, while the disk has less free than this."""

    def __post_init__(self) -> None:
        above(0, every_s=self.every_s)
        above(-1e-9, segment_s=self.segment_s, keep_hours=self.keep_hours, keep_gb=self.keep_gb)
        above(-1e-9, min_free_gb=self.min_free_gb)
        if not self.target:
            raise ConfigError("target is empty; a URL, or a path is accepted, as kind says")
        address = resolve(self.target)
        accepted = _OUTPUT_SCHEMES[self.kind]
        if address.scheme not in accepted:
            wanted = "a path" if accepted == ("file",) else f"{accepted[0]}://HOST..."
            raise ConfigError(
                f"target {address.shown!r} does not suit kind {self.kind!r}; {wanted} is accepted"
            )
        if self.kind == "stdout":
            from vsr.media import (
                STANDARD,
                is_standard,
            )  # here: the processes of other outputs load nothing of media

            if not is_standard(self.target):
                raise ConfigError(f"target {self.target!r} of standard output must be {STANDARD}")
        if self.kind == "snapshot" and not self.target.lower().endswith((".jpg", ".jpeg")):
            raise ConfigError(f"target {self.target!r} of a snapshot must end in .jpg")

    @property
    def segment_length_s(self) -> float:
        """Seconds of a segment, the usual ones where none are configured."""
        return self.segment_s or (60.0 if self.kind == "record" else 0.5)

    @property
    def address(self) -> Address:
        """The target with its user and password, read now.

        Raises:
            ConfigError: credentials cannot be read.
        """
        return resolve(self.target, Credentials(self.credentials_env, self.credentials_file))


def above(bound: float, **values: float) -> None:
    """Refuse values that are not above `bound`, or not finite."""
    for name, value in values.items():
        if not bound < value < float("inf"):
            accepted = "0 or more" if bound < 0 else "more than 0"
            raise ConfigError(f"{name} {value:g} is out of range; {accepted} is accepted")
