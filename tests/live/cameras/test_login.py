"""A password goes to the host that it is for, and along no redirect to another one."""

import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vsr.live.address import resolve
from vsr.live.cameras.connection import RefusedError, connect
from vsr.live.options import CameraOptions

CHALLENGES = {
    "none": "",
    "basic": 'WWW-Authenticate: Basic realm="cam"\r\n',
    "digest": 'WWW-Authenticate: Digest realm="cam", nonce="1f"\r\nWWW-Authenticate: Basic realm="cam"\r\n',
}


@contextmanager
def server(answer, tls: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[str]]]:
    """A server that answers each request; gives its port and what it was asked."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve(caller: socket.socket) -> None:
            with caller:
                while request := caller.recv(4096).decode():
                    asked.append(request)
                    number = re.search(r"CSeq: (\d+)", request)
                    status, more = answer(request)
                    caller.sendall(
                        f"RTSP/1.0 {status}\r\nCSeq: {number[1] if number else 1}\r\n{more}\r\n".encode()
                    )

        def listen() -> None:
            while True:
                try:
                    caller, _ = listening.accept()
                    caller = tls.wrap_socket(caller, server_side=True) if tls else caller
                except OSError:
                    return
                threading.Thread(target=serve, args=(caller,), daemon=True).start()

        threading.Thread(target=listen, daemon=True).start()
        yield listening.getsockname()[1], asked
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("when", ["OPTIONS", "DESCRIBE", "basic", "digest"])
def test_a_password_does_not_follow_a_redirect(when: str):
    with server(lambda _: ("404 Not Found", "")) as (other, heard):

        def answer(request: str) -> tuple[str, str]:
            elsewhere = ("302 Moved", f"Location: rtsp://127.0.0.1:{other}/b\r\n")
            if request.startswith(when):
                return elsewhere
            if request.startswith("OPTIONS"):
                return "200 OK", "Public: DESCRIBE\r\n"
            if when in CHALLENGES and "Authorization" not in request:
                return "401 Unauthorized", CHALLENGES[when]
            return elsewhere

        with server(answer) as (port, asked):
            url = f"rtsp://user:secret@127.0.0.1:{port}/a"
            options = CameraOptions("door", url)
            with pytest.raises(
                RefusedError, match=f"it sends to 127.0.0.1:{other}, which gets no password"
            ) as caught:
                connect(options, resolve(url), threading.Event())
    assert "secret" not in str(caught.value)
    assert not heard
    assert sum("Authorization" in request for request in asked) == (when in CHALLENGES)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes a certificate")
def test_a_server_behind_tls_is_asked_as_well(tmp_path: Path):
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=a -days 2"
    subprocess.run(
        ["openssl", *words.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with server(lambda _: ("404 Not Found", "")) as (other, heard):
        away = ("302 Moved", f"Location: rtsp://127.0.0.1:{other}/b\r\n")
        with server(lambda request: away if "DESCRIBE" in request else ("200 OK", ""), tls) as (port, asked):
            url = f"rtsps://user:secret@127.0.0.1:{port}/a"
            with pytest.raises(RefusedError, match=f"it sends to 127.0.0.1:{other}, which gets no password"):
                connect(CameraOptions("door", url), resolve(url), threading.Event())
    assert [request.split()[0] for request in asked] == ["OPTIONS", "DESCRIBE"]
    assert not heard


def test_a_digest_is_as_the_standard_has_it():
    """RFC 2617, 3.5, without qop."""
    from vsr.live.cameras.login import _authorization, _md5

    address = resolve("rtsp://Mufasa:Circle%20Of%20Life@host/dir")
    made = _authorization(address, "rtsp://host/dir", "digest", {"realm": "r", "nonce": "n"})
    expected = _md5(f"{_md5('Mufasa:r:Circle Of Life')}:n:{_md5('DESCRIBE:rtsp://host/dir')}")
    assert made.endswith(f'response="{expected}"')
