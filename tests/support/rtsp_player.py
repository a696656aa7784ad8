"""A player of RTSP in a few lines, for what real ones do not do: to watch without decoding, to say odd things, to stop
reading."""

import hashlib
import re
import socket
from base64 import b64encode


class Player:
    """One connection; interleaved."""

    def __init__(self, port: int, path: str = "/door", *, buffer: int = 0):
        self.url = f"rtsp://127.0.0.1:{port}{path}"
        self.socket = socket.socket()
        self.socket.settimeout(60.0)
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.connect(("127.0.0.1", port))
        self._file = self.socket.makefile("rb")
        self._number, self._session = 0, ""

    def ask(self, method: str, url: str = "", **headers: str) -> tuple[int, dict[str, list[str]], str]:
        """Send a request; return status, headers and body of the answer."""
        self._number += 1
        lines = [f"{method} {url or self.url} RTSP/1.0", f"CSeq: {self._number}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Session: {self._session}"] if self._session else []
        self.send("\r\n".join([*lines, "", ""]).encode())
        return self.answer()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, list[str]], str]:
        line = self._line()
        status, headers = int(line.split()[1]), dict[str, list[str]]()
        while line := self._line().strip():
            name, _, value = line.partition(": ")
            headers.setdefault(name, []).append(value)
        body = self._file.read(int(headers.get("Content-Length", ["0"])[0])).decode()
        return status, headers, body

    def _line(self) -> str:
        while (first := self._file.read(1)) == b"$":
            self._file.read(int.from_bytes(self._file.read(3)[1:], "big"))
        if not first:
            raise ConnectionError("the server has closed the connection")
        return (first + self._file.readline()).decode()

    def play(self) -> str:
        """Set all tracks up and play; returns the description."""
        status, _, described = self.ask("DESCRIBE")
        assert status == 200
        for kind in re.findall(r"^a=control:(video|audio)", described, re.MULTILINE):
            status, headers, _ = self.ask("SETUP", f"{self.url}/{kind}", Transport="RTP/AVP/TCP;unicast")
            assert status == 200
            self._session = headers["Session"][0].partition(";")[0]
        assert self.ask("PLAY")[0] == 200
        return described

    def packet(self) -> tuple[int, bytes]:
        """Return channel and content of what comes next."""
        head = self._file.read(4)
        if len(head) < 4:
            raise ConnectionError("the server has closed the connection")
        return head[1], self._file.read(int.from_bytes(head[2:], "big"))

    def picture(self) -> bytes:
        """Return the next picture in Annex B (RFC 6184)."""
        made = b""
        while True:
            channel, packet = self.packet()
            if channel != 0:
                continue
            payload = packet[12:]
            if payload[0] & 31 != 28:
                made += b"\0\0\0\1" + payload
            elif payload[1] & 128:
                made += b"\0\0\0\1" + bytes([payload[0] & 0xE0 | payload[1] & 31]) + payload[2:]
            else:
                made += payload[2:]
            if packet[1] & 128:
                return made

    def close(self) -> None:
        self._file.close()
        self.socket.close()


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def digest(challenge: str, method: str, url: str, user: str, password: str) -> str:
    """An answer to a challenge (RFC 7616, without qop)."""
    parts = dict(re.findall(r'(\w+)="?([^",]+)', challenge))
    make = hashlib.sha256 if parts.get("algorithm") == "SHA-256" else hashlib.md5

    def h(text: str) -> str:
        return make(text.encode()).hexdigest()

    response = h(f"{h(f'{user}:vsr:{password}')}:{parts['nonce']}:{h(f'{method}:{url}')}")
    told = {"username": user, "realm": "vsr", "nonce": parts["nonce"], "uri": url, "response": response}
    told |= {"algorithm": parts["algorithm"]} if "algorithm" in parts else {}
    return "Digest " + ", ".join(f'{name}="{value}"' for name, value in told.items())
