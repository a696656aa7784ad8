"""A camera asked by ONVIF (device and media service) where its streams are."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from vsr.errors import SourceError
from vsr.live.onvif.envelope import all_named, envelope, parse, text_at, user_token

_DEVICE = "http://www.onvif.org/ver10/device/wsdl"
_MEDIA = "http://www.onvif.org/ver10/media/wsdl"
_SCHEMA = "http://www.onvif.org/ver10/schema"
_ANSWER_S = 5.0
_MOST_BYTES = 1 << 20
_MOST_PROFILES = 16


@dataclass(frozen=True)
class StreamProfile:
    """One of a camera's streams."""

    name: str
    url: str
    """rtsp://..., without user and password."""
    codec: str = ""
    height: int = 0
    width: int = 0
    rate: float = 0.0
    """Frames a second at most; 0 where unsaid."""


class _Direct(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: what is asked holds a digest of a password."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        return None


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Direct)


class OnvifDevice:
    """A camera's services.

    Args:
        service: URL of its device service.
        login: user and password, which travel as a digest only.
    """

    def __init__(self, service: str, login: tuple[str, str] | None = None):
        self._service, self._login = service, login
        self._ahead = timedelta()
        """Of the camera's clock."""

    def streams(self) -> list[StreamProfile]:
        """Ask for all streams, the largest first.

        Raises:
            SourceError: the camera does not answer, says no, or answers what is not ONVIF.
        """
        self._ahead = self._clock() - datetime.now(UTC)
        media = self._media()
        answer = self._ask(media, f'<GetProfiles xmlns="{_MEDIA}"/>')
        found = [
            stream
            for profile in list(all_named(answer, "Profiles"))[:_MOST_PROFILES]
            for stream in self._stream(media, profile)
        ]
        return sorted(found, key=lambda stream: stream.height * stream.width, reverse=True)

    def _clock(self) -> datetime:
        """The camera's time, which may be asked without a password; ours where it does not say."""
        try:
            answer = self._ask(self._service, f'<GetSystemDateAndTime xmlns="{_DEVICE}"/>', signed=False)
            utc = next(all_named(answer, "UTCDateTime"))
            parts = [int(text_at(utc, name)) for name in ("Year", "Month", "Day", "Hour", "Minute", "Second")]
            return datetime(*parts, tzinfo=UTC)  # type: ignore[misc]
        except (StopIteration, ValueError):
            return datetime.now(UTC)

    def _media(self) -> str:
        """URL of the media service, at the device's own host whatever it says: others get no digest."""
        body = f'<GetCapabilities xmlns="{_DEVICE}"><Category>Media</Category></GetCapabilities>'
        said = text_at(self._ask(self._service, body), "Media", "XAddr")
        try:
            here, there = urlsplit(self._service), urlsplit(said)
        except ValueError:
            return self._service
        if there.hostname == here.hostname and there.scheme in ("http", "https"):
            return said
        return here._replace(path=there.path or here.path, query="").geturl()

    def _stream(self, media: str, profile: Element) -> Iterator[StreamProfile]:
        """The stream of a profile, where it has one by RTSP."""
        video = next(all_named(profile, "VideoEncoderConfiguration"), None)
        if video is None:
            return
        body = (
            f'<GetStreamUri xmlns="{_MEDIA}"><StreamSetup><Stream xmlns="{_SCHEMA}">RTP-Unicast</Stream>'
            f'<Transport xmlns="{_SCHEMA}"><Protocol>RTSP</Protocol></Transport></StreamSetup>'
            f"<ProfileToken>{escape(profile.get('token', ''))}</ProfileToken></GetStreamUri>"
        )
        url = text_at(self._ask(media, body), "MediaUri", "Uri")
        if url.startswith(("rtsp://", "rtsps://")):
            yield StreamProfile(
                text_at(profile, "Name"),
                url,
                text_at(video, "Encoding"),
                round(_number(text_at(video, "Resolution", "Height"))),
                round(_number(text_at(video, "Resolution", "Width"))),
                _number(text_at(video, "RateControl", "FrameRateLimit")),
            )

    def _ask(self, service: str, body: str, *, signed: bool = True) -> Element:
        head = ""
        if signed and self._login is not None:
            head = user_token(*self._login, datetime.now(UTC) + self._ahead)
        content = {"Content-Type": "application/soap+xml; charset=utf-8"}
        status, answer = self._post(urllib.request.Request(service, envelope(body, head), content))
        root = parse(answer) if answer.strip().startswith(b"<") else None
        fault = root is not None and next(all_named(root, "Fault"), None) is not None
        if status in (401, 403) or (fault and b"NotAuthorized" in answer):
            raise SourceError(f"{service}: it wants another user and password")
        if root is None or fault or status >= 400:
            why = (text_at(root, "Fault", "Text") or text_at(root, "Fault", "faultstring")) if root else ""
            raise SourceError(f"{service}: it says no ({why or f'status {status}'})")
        return root

    def _post(self, request: urllib.request.Request) -> tuple[int, bytes]:
        try:
            with _OPENER.open(request, timeout=_ANSWER_S) as answer:
                return answer.status, answer.read(_MOST_BYTES)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(_MOST_BYTES)
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise SourceError(f"{request.full_url}: no answer ({reason})") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
