"""One player's connection by RTSP (RFC 2326), and with it its one session: what it asks and what it is answered."""

import asyncio
import logging
import secrets
import time

from vsr.errors import ConfigError
from vsr.live.serve_options import ServingOptions
from vsr.live.serving.hub import Hub
from vsr.live.serving.logins import PlayerLogin
from vsr.live.serving.rtp import payload_format
from vsr.live.serving.rtsp_messages import BadRequestError, RtspAnswer, RtspRequest, read_request
from vsr.live.serving.rtsp_session import Carrier, RtspSession, Waker
from vsr.live.serving.rtsp_transports import Datagrams, Interleaved, UdpPorts, bound_buffers, read_transport
from vsr.live.serving.session_description import describe

log = logging.getLogger("vsr.live")

_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER"
_TIMEOUT_S = 60
"""A player that is sent UDP and says nothing for so long has gone."""
_IDLE_S = 15.0
"""The same of one that has set up nothing yet; what the others have beyond their time."""
_WRONG_S = 1.0
"""How long an answer to a wrong password takes, and how many of them a connection may have."""
_MOST_WRONG = 3


class RtspConnection:
    """One player's connection, and with it its one session."""

    def __init__(
        self, hub: Hub, options: ServingOptions, ports: UdpPorts, waker: Waker, writer: asyncio.StreamWriter
    ):
        self._hub, self._options, self._ports, self._waker, self._writer = hub, options, ports, waker, writer
        self._host: str = writer.get_extra_info("peername")[0]
        self._id = secrets.token_hex(8)
        self._login = PlayerLogin({})
        self._wrong = 0
        self._session: RtspSession | None = None
        self._reports_from: set[tuple[str, int]] = set()
        self._heard_s = time.monotonic()
        bound_buffers(writer)

    def heard(self, address: tuple[str, int]) -> None:
        """Take note of a report that has come by UDP."""
        if address in self._reports_from:
            self._heard_s = time.monotonic()

    def look(self, now: float) -> None:
        """Let go a player that has gone without a word. One that is sent TCP shows that it lives by taking it."""
        session = self._session
        if session is not None and session.playing and not self._reports_from:
            return
        set_up = session is not None and session.tracks
        if now - self._heard_s > (_TIMEOUT_S + _IDLE_S if set_up else _IDLE_S):
            self.drop()

    def drop(self) -> None:
        """End it at once: a player that does not read would never let what is left be sent."""
        self.close()
        self._writer.transport.abort()

    def close(self) -> None:
        """End session and connection, when what is left has been sent. Harmless twice."""
        if self._session is not None:
            self._session.close()
            self._session = None
        self._writer.close()

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Answer requests until the player goes."""
        while self._wrong < _MOST_WRONG:
            try:
                request = await read_request(reader)
            except BadRequestError:
                self._writer.write(RtspAnswer(400).pack("0"))
                return
            self._heard_s = time.monotonic()
            if request is None:
                continue
            self._heard_s = float("inf")  # it is the player who waits
            answer = await self._answer(request)
            self._heard_s = time.monotonic()
            self._writer.write(answer.pack(request.headers.get("cseq", "0")[:16]))
            await asyncio.wait_for(self._writer.drain(), _IDLE_S)
            if request.method == "PLAY" and answer.status == 200 and self._session is not None:
                self._session.play()  # after the answer, which players expect first
            elif request.method == "TEARDOWN" and answer.status == 200:
                return

    async def _answer(self, request: RtspRequest) -> RtspAnswer:
        if "require" in request.headers:
            return RtspAnswer(551, (("Unsupported", request.headers["require"][:200]),))
        if request.method == "OPTIONS":
            return RtspAnswer(200, (("Public", _METHODS),))
        refused = await self._refuse(request)
        if refused is not None:
            return refused
        if request.method == "DESCRIBE":
            return await self._describe(request)
        if request.method == "SETUP":
            return await self._set_up(request)
        if request.method not in _METHODS.split(", "):
            return RtspAnswer(405, (("Allow", _METHODS),))
        return self._control(request)

    async def _refuse(self, request: RtspRequest) -> RtspAnswer | None:
        """Return what somebody gets who may not watch."""
        try:
            users = self._options.users
        except ConfigError as error:
            log.warning("nobody may watch: %s", error, extra={"event": "note"})
            return RtspAnswer(503)
        told = request.headers.get("authorization", "")
        self._login.users = users
        if not self._options.users_file or self._login.allows(request.method, told):
            return None
        if told:
            self._wrong += 1
            await asyncio.sleep(_WRONG_S)
        return RtspAnswer(401, self._login.challenges)

    async def _describe(self, request: RtspRequest) -> RtspAnswer:
        session, refused = await self._watch(request.path)
        if session is None:
            return refused
        headers = (("Content-Type", "application/sdp"), ("Content-Base", request.url.rstrip("/") + "/"))
        return RtspAnswer(200, headers, describe(session.name, session.described))

    async def _watch(self, name: str) -> tuple[RtspSession | None, RtspAnswer]:
        """Begin to watch, or go on with the same; without a session where nothing is to be seen."""
        if self._session is None or self._session.name != name:
            if self._session is not None:
                self._session.close()
            try:
                self._session = RtspSession(self._hub, name, self._waker, self.drop)
            except LookupError:
                self._session = None
                return None, RtspAnswer(404)
        session = self._session
        known = await session.describe()
        if known.video is None:
            return None, RtspAnswer(503, (("Retry-After", "5"),))
        if known.audio is not None and payload_format(known.audio) is None:
            text = f"{name} is served without sound: RTP carries no {known.audio.codec}"
            log.info("%s", text, extra={"event": "note"})
        return session, RtspAnswer()

    async def _set_up(self, request: RtspRequest) -> RtspAnswer:
        name, _, kind = request.path.rpartition("/")
        if self._session is not None and self._session.playing:
            return RtspAnswer(455)
        session, refused = await self._watch(name)
        if session is None:
            return refused
        wish = read_transport(request.headers.get("transport", ""))
        if wish is None:
            return RtspAnswer(461)
        carrier: Carrier
        if wish.client_ports is None:
            first = 2 * len(session.tracks)
            channels = (first, first + 1) if wish.interleaved in (None, (-1, -1)) else wish.interleaved
            carrier = Interleaved(self._writer, channels)
            told = f"RTP/AVP/TCP;unicast;interleaved={channels[0]}-{channels[1]}"
        else:
            ports, ours = wish.client_ports, self._ports.numbers
            carrier = Datagrams(self._ports, self._host, ports)
            told = f"RTP/AVP;unicast;client_port={ports[0]}-{ports[1]};server_port={ours[0]}-{ours[1]}"
        if session.set_up(kind, carrier) is None:
            return RtspAnswer(404)
        if wish.client_ports is not None:
            self._reports_from.add((self._host, wish.client_ports[1]))
        return RtspAnswer(200, (("Transport", told), ("Session", f"{self._id};timeout={_TIMEOUT_S}")))

    def _control(self, request: RtspRequest) -> RtspAnswer:
        """Answer what concerns the session as a whole."""
        session, asked = self._session, request.headers.get("session", "").partition(";")[0]
        if request.method in ("GET_PARAMETER", "SET_PARAMETER") and not asked:
            return RtspAnswer()
        if session is None or not session.tracks or asked != self._id:
            return RtspAnswer(454)
        headers = [("Session", self._id)]
        if request.method == "PLAY":
            base = request.url.rstrip("/")
            info = (
                f"url={base}/{kind};seq={track.stream.sequence}" for kind, track in session.tracks.items()
            )
            headers += [("Range", "npt=now-"), ("RTP-Info", ",".join(info))]
        elif request.method in ("PAUSE", "TEARDOWN"):
            session.pause()
        return RtspAnswer(200, tuple(headers))
