"""The description of what is served, for players (SDP, RFC 8866)."""

from base64 import b64encode

from vsr.live.serving.access_units import AudioParameters, VideoParameters
from vsr.live.serving.broadcast import StreamParameters
from vsr.live.serving.rtp import payload_format

VIDEO_TRACK, AUDIO_TRACK = "video", "audio"
"""What players call the tracks by."""


def describe(name: str, parameters: StreamParameters) -> str:
    """Write the description of a broadcast whose pictures are known.

    Args:
        name: as it is shown.
        parameters: of picture and sound; sound that RTP does not carry is left out.
    """
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", f"s={name}", "c=IN IP4 0.0.0.0", "t=0 0"]
    lines += ["a=tool:vsr", "a=control:*", "a=range:npt=now-"]
    lines += _video(parameters.video) if parameters.video is not None else []
    lines += _audio(parameters.audio) if parameters.audio is not None else []
    return "\r\n".join([*lines, ""])


def _medium(kind: str, parameters: VideoParameters | AudioParameters, details: str) -> list[str]:
    format = payload_format(parameters)
    if format is None:
        return []
    lines = [f"m={kind} 0 RTP/AVP {format.number}", f"a=rtpmap:{format.number} {format.encoding}"]
    lines += [f"a=fmtp:{format.number} {details}"] if details else []
    return [*lines, f"a=control:{kind}"]


def _video(parameters: VideoParameters) -> list[str]:
    sets = [b64encode(one).decode() for one in parameters.parameter_sets]
    if parameters.codec == "h265":
        names = ("sprop-vps", "sprop-sps", "sprop-pps")
        return _medium("video", parameters, ";".join(f"{k}={v}" for k, v in zip(names, sets, strict=False)))
    details = "packetization-mode=1"
    if sets:
        level = parameters.parameter_sets[0][1:4].hex().upper()
        details += f";profile-level-id={level};sprop-parameter-sets={','.join(sets)}"
    return _medium("video", parameters, details)


def _audio(parameters: AudioParameters) -> list[str]:
    details = ""
    if parameters.codec == "aac":
        sizes = "sizelength=13;indexlength=3;indexdeltalength=3"
        details = f"profile-level-id=1;mode=AAC-hbr;{sizes};config={parameters.config.hex().upper()}"
    return _medium("audio", parameters, details)
