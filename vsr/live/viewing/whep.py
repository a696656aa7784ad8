"""WebRTC by WHEP (draft-ietf-wish-whep): an offer is answered, and coded pictures are passed on as they are."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from vsr.live.viewing.view import Encoded, NotThereError, View, Viewer

_MOST_SESSIONS = 64
_CONNECT_S = 15.0
"""How long a browser may take to connect."""
_WAITING = 250
"""Packets that may wait for one viewer; what is more ends the session, and the page asks anew."""


_CODECS = ("video/h264", "video/rtx", "audio/opus")


class SessionRefusedError(Exception):
    """A session cannot be had; says why in a line."""


class _Track(MediaStreamTrack):
    """Packets of one kind, as they come."""

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind
        self._packets: asyncio.Queue[Encoded] = asyncio.Queue(_WAITING)

    def put(self, packet: Encoded) -> None:
        """Hand over a packet."""
        try:
            self._packets.put_nowait(packet)
        except asyncio.QueueFull:
            self.stop()

    async def recv(self) -> Any:
        """Return the next packet; aiortc does not encode what is coded."""
        if self.readyState != "live":
            raise MediaStreamError
        data, pts, base = await self._packets.get()
        packet = av.Packet(data)
        packet.pts, packet.time_base = pts, base
        return packet


class WhepSessions:
    """All sessions of a server. Belongs to the event loop."""

    def __init__(self) -> None:
        self._ends: dict[str, Callable[[], Awaitable[None]]] = {}
        self._tasks: set[asyncio.Task[bool]] = set()
        logging.getLogger("aioice").setLevel(logging.ERROR)

    def __len__(self) -> int:
        return len(self._ends)

    async def begin(self, view: View, offer: str, addresses: Sequence[str]) -> tuple[str, str]:
        """Answer an offer.

        Args:
            view: what is watched.
            offer: in SDP.
            addresses: where the browser may reach us.

        Returns:
            The session's name and the answer in SDP.

        Raises:
            SessionRefusedError: the offer is none, there are too many sessions, or browsers take no such pictures.
        """
        if len(self._ends) >= _MOST_SESSIONS:
            raise SessionRefusedError(f"{_MOST_SESSIONS} sessions are open, which is the most")
        name, connection = secrets.token_urlsafe(16), RTCPeerConnection(RTCConfiguration(iceServers=[]))
        video, audio = _Track("video"), _Track("audio")
        viewer = Viewer(video.put, audio.put)

        async def end() -> None:
            view.remove(viewer)
            self._ends.pop(name, None)
            await connection.close()

        self._ends[name] = end
        view.add(viewer)
        try:
            await _check(view)
            answer = await _answer(connection, offer, (video, audio), addresses)
        except BaseException:
            await end()
            raise
        connection.on("connectionstatechange", partial(self._watch, connection, name))
        video.on("ended", partial(self._end_soon, name))
        asyncio.get_running_loop().call_later(_CONNECT_S, self._give_up, connection, name)
        return name, answer

    def _watch(self, connection: RTCPeerConnection, name: str) -> None:
        if connection.connectionState in ("failed", "closed", "disconnected"):
            self._end_soon(name)

    def _give_up(self, connection: RTCPeerConnection, name: str) -> None:
        if connection.connectionState != "connected":
            self._end_soon(name)

    def _end_soon(self, name: str) -> None:
        task = asyncio.ensure_future(self.end(name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self, name: str) -> bool:
        """End a session; False where there is none of that name."""
        end = self._ends.pop(name, None)
        if end is not None:
            await end()
        return end is not None

    async def close(self) -> None:
        """End all of them."""
        await asyncio.gather(*(self.end(name) for name in list(self._ends)))


async def _check(view: View) -> None:
    """Wait until it is known what pictures there are, and whether browsers take them by WebRTC."""
    try:
        await view.first()
    except NotThereError as error:
        raise SessionRefusedError(str(error)) from None
    if view.why_no_webrtc:
        raise SessionRefusedError(view.why_no_webrtc)


async def _answer(
    connection: RTCPeerConnection, offer: str, tracks: Iterable[_Track], addresses: Sequence[str]
) -> str:
    if "m=video " not in offer:
        raise SessionRefusedError("the body is no offer in SDP that asks for video")
    for track in tracks:
        if f"m={track.kind} " in offer:
            transceiver = connection.addTransceiver(track, direction="sendonly")
            codecs = RTCRtpSender.getCapabilities(track.kind).codecs
            transceiver.setCodecPreferences([one for one in codecs if one.mimeType.lower() in _CODECS])
    try:
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        for transceiver in connection.getTransceivers():
            _listen_at(transceiver.sender.transport.transport.iceGatherer, addresses)
        await connection.setLocalDescription(await connection.createAnswer())
    except Exception:  # what reads text from elsewhere raises what it happens to
        raise SessionRefusedError("the body is no offer in SDP that asks for H.264") from None
    return connection.localDescription.sdp


def _listen_at(gatherer: Any, ours: Sequence[str]) -> None:
    """Offer these addresses and no others: aioice would take all of the machine's but the loopback."""
    gather = gatherer._connection.get_component_candidates

    async def at_ours(component: int, addresses: object, timeout: int = 5) -> Any:
        return await gather(component=component, addresses=ours, timeout=timeout)

    gatherer._connection.get_component_candidates = at_ours
