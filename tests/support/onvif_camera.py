"""The small part of an ONVIF camera that says where its streams are: WS-Discovery, device and media service."""

import base64
import hashlib
import re
import socket
import struct
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GROUP = "239.255.255.250"
_ENVELOPE = (
    '<?xml version="1.0"?><SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:trt="http://www.onvif.org/ver10/media/wsdl"'
    ' xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
    ' xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><SOAP-ENV:Header>{head}</SOAP-ENV:Header>'
    "<SOAP-ENV:Body>{body}</SOAP-ENV:Body></SOAP-ENV:Envelope>"
)
_FAULT = (
    "<SOAP-ENV:Fault><SOAP-ENV:Code><SOAP-ENV:Value>SOAP-ENV:Sender</SOAP-ENV:Value></SOAP-ENV:Code>"
    "<SOAP-ENV:Reason><SOAP-ENV:Text>{why}</SOAP-ENV:Text></SOAP-ENV:Reason></SOAP-ENV:Fault>"
)
_SKEW_S = 60
"""How far off a digest's time may be, by the camera's clock."""


class OnvifCamera:
    """A camera on 127.0.0.1 with two streams. A context.

    Args:
        name: as it calls itself.
        login: user and password that it wants; None for none.
        ahead: of its clock.
        media_host: host that it says its media service has.
        answers: changes what it answers by HTTP.
    """

    def __init__(
        self,
        name: str = "Front%20door",
        *,
        login: tuple[str, str] | None = None,
        ahead: timedelta = timedelta(),
        media_host: str = "127.0.0.1",
        answers: Callable[[bytes], bytes] = lambda answer: answer,
    ):
        self._name, self._login, self._ahead, self._answers = name, login, ahead, answers
        self._media_host = media_host
        self.asked: list[str] = []
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                question = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status, answer = camera._answer(self.path, question)
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.service = f"http://127.0.0.1:{self.port}/onvif/device_service"
        self._heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._heard.bind(("", 0))
        self._heard.settimeout(0.1)
        member = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton("127.0.0.1"))
        self._heard.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        self.discovery_port = self._heard.getsockname()[1]
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._server.serve_forever, args=(0.05,)),
            threading.Thread(target=self._listen),
        ]

    def __enter__(self) -> "OnvifCamera":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._server.shutdown()
        for thread in self._threads:
            thread.join()
        self._server.server_close()
        self._heard.close()

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                question, caller = self._heard.recvfrom(65536)
            except TimeoutError:
                continue
            number = re.search(rb"MessageID[^>]*>([^<]+)<", question)
            assert number is not None
            assert b"NetworkVideoTransmitter" in question
            for answer in self.matches(number[1].decode()):
                self._heard.sendto(answer, caller)

    def matches(self, number: str) -> list[bytes]:
        """What it answers to a question with a number, with what others might throw in."""
        match = (
            "<d:ProbeMatches><d:ProbeMatch><d:Types>dn:NetworkVideoTransmitter</d:Types>"
            f"<d:Scopes>onvif://www.onvif.org/type/video onvif://www.onvif.org/name/{self._name}</d:Scopes>"
            "<d:XAddrs>http://[fe80::1]/onvif/device_service {service}</d:XAddrs></d:ProbeMatch></d:ProbeMatches>"
        )
        relates = "<w:RelatesTo>{number}</w:RelatesTo>"
        mine = _ENVELOPE.format(head=relates.format(number=number), body=match.format(service=self.service))
        stray = _ENVELOPE.format(
            head=relates.format(number="urn:uuid:other"), body=match.format(service="http://127.0.0.1/a")
        )
        away = _ENVELOPE.format(
            head=relates.format(number=number), body=match.format(service="http://192.0.2.1/a")
        )
        evil = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
        return [text.encode() for text in ("no XML", evil, stray, away, mine, mine)]

    def _answer(self, path: str, question: str) -> tuple[int, bytes]:
        body = re.search(r"Body><(\w+)", question)
        assert body is not None
        self.asked.append(body[1])
        if body[1] != "GetSystemDateAndTime" and not self._is_known(question):
            fault = _ENVELOPE.format(head="", body=_FAULT.format(why="ter:NotAuthorized"))
            return 400, fault.encode()
        answer = getattr(self, f"_{body[1]}")(question)
        return 200, self._answers(_ENVELOPE.format(head="", body=answer).encode())

    def _is_known(self, question: str) -> bool:
        if self._login is None:
            return True
        found = [
            re.search(rf"<{name}[^>]*>([^<]+)<", question)
            for name in ("Username", "Password", "Nonce", "Created")
        ]
        if not all(found):
            return False
        user, digest, nonce, created = (one[1] for one in found if one)
        when = datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        wanted = hashlib.sha1(base64.b64decode(nonce) + created.encode() + self._login[1].encode()).digest()
        on_time = abs((when - self._now()).total_seconds()) < _SKEW_S
        return on_time and user == self._login[0] and base64.b64decode(digest) == wanted

    def _now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def _GetSystemDateAndTime(self, question: str) -> str:  # noqa: N802
        now = self._now()
        return (
            "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:UTCDateTime><tt:Time>"
            f"<tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute><tt:Second>{now.second}</tt:Second>"
            f"</tt:Time><tt:Date><tt:Year>{now.year}</tt:Year><tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day>"
            "</tt:Date></tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
        )

    def _GetCapabilities(self, question: str) -> str:  # noqa: N802
        media = f"http://{self._media_host}:{self.port}/onvif/media"
        return (
            "<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Media><tt:XAddr>"
            f"{media}</tt:XAddr></tt:Media></tds:Capabilities></tds:GetCapabilitiesResponse>"
        )

    def _GetProfiles(self, question: str) -> str:  # noqa: N802
        sizes = (("sub", 640, 360), ("main", 1920, 1080))
        profiles = "".join(
            f'<trt:Profiles token="{name}"><tt:Name>{name} &amp; more</tt:Name><tt:VideoEncoderConfiguration>'
            f"<tt:Encoding>H264</tt:Encoding><tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height>"
            "</tt:Resolution><tt:RateControl><tt:FrameRateLimit>25</tt:FrameRateLimit></tt:RateControl>"
            "</tt:VideoEncoderConfiguration></trt:Profiles>"
            for name, width, height in sizes
        )
        sound = '<trt:Profiles token="sound"><tt:Name>sound</tt:Name></trt:Profiles>'
        return f"<trt:GetProfilesResponse>{profiles}{sound}</trt:GetProfilesResponse>"

    def _GetStreamUri(self, question: str) -> str:  # noqa: N802
        token = re.search(r"ProfileToken>([^<]*)<", question)
        assert token is not None
        return (
            f"<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>rtsp://127.0.0.1:554/{token[1]}?a=1&amp;b=2</tt:Uri>"
            "</trt:MediaUri></trt:GetStreamUriResponse>"
        )
