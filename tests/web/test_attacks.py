"""What comes from other pages, other names, strangers and files that mean harm."""

import json
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from support.archives import wait_until
from support.web_here import served
from support.web_server import WebServer, web

from vsr.cli.main import run
from vsr.errors import ConfigError
from vsr.http_safety import OwnHosts, connections, token_hash
from vsr.web.client import Client, WebError
from vsr.web.data_folder import DataFolder
from vsr.web.store import Store
from vsr.web.tokens import Tokens

JSON = {"Content_Type": "application/json"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """A server that wants a token."""
    folder = tmp_path_factory.mktemp("guarded")
    with web(folder, "--token-file", str(folder / "token")) as server:
        yield server


def test_names_of_others_are_refused(web_server):
    port = web_server.host.split(":")[1]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "localhost", f"LOCALHOST:{port}", f"[::1]:{port}"):
        assert web_server.send("GET", "/v1/jobs", Host=host)[0] == 200, host
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1.evil.example",
        "192.0.2.1",
        "",
        "localhost.",
        "[::2]",
    ):
        status, headers, body = web_server.send("GET", "/v1/jobs", Host=host)
        assert (status, headers["content-type"]) == (421, "application/problem+json"), host
        assert "--allow-host" in json.loads(body)["detail"]
    name, number = web_server.host.split(":")
    with socket.create_connection((name, int(number))) as line:
        line.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert line.recv(100).split()[1] in (b"400", b"421")


def test_an_added_name_is_accepted_and_of_a_server_of_the_network_any_address():
    def is_ours(host: str, *more: str) -> list[bool]:
        names = ("nas.example:8000", "192.0.2.1:80", "[::2]", "evil.example")
        return [OwnHosts(host, more).has(name) for name in names]

    assert is_ours("127.0.0.1") == [False] * 4
    assert is_ours("127.0.0.1", "nas.example") == [True, False, False, False]
    assert is_ours("0.0.0.0") == [False, True, True, False]


def test_other_pages_are_refused(web_server):
    own = f"http://{web_server.host}"
    form = {"Content_Type": "text/plain"}
    order = b'{"upload": "0"}'
    assert web_server.send("POST", "/v1/jobs", order, Origin=own, **JSON)[0] == 404
    for origin in ("http://evil.example", "null", "http://127.0.0.1", "file://", f"{own}.evil.example"):
        assert web_server.send("POST", "/v1/jobs", order, Origin=origin, **form)[0] == 403, origin
        assert web_server.send("GET", "/v1/jobs", Origin=origin)[0] == 403, origin
    for site in ("cross-site", "same-site"):  # another port of this machine is the same site
        assert web_server.send("POST", "/upscale", b"", Sec_Fetch_Site=site)[0] == 403
        assert web_server.send("GET", "/v1/jobs", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors")[0] == 403
        assert web_server.send("GET", "/v1/jobs", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate")[0] == 403
        assert web_server.send("GET", "/docs", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate")[0] == 200
    status, headers, _ = web_server.send(
        "OPTIONS", "/v1/jobs", Origin="http://evil.example", Access_Control_Request_Method="POST"
    )
    assert status == 403
    assert "access-control-allow-origin" not in headers


def test_who_has_no_token_hears_nothing(guarded):
    paths = ["/v1/jobs", "/v1/uploads", "/metrics", "/docs", "/openapi.json", "/nothing", "/v1/machine"]
    for path in paths:
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Basic {guarded.token}"},
            {"Cookie": "vsr_session=x"},
        ):
            status, said, body = guarded.send("GET", path, **headers)
            assert (status, said["www-authenticate"]) == (401, 'Bearer realm="vsr"'), (path, headers)
            assert "jobs" not in json.loads(body)["detail"]
    assert guarded.send("GET", "/healthz")[0] == guarded.send("GET", "/readyz")[0] == 200
    for path in paths[:-2]:
        assert guarded.send("GET", path, Authorization=f"Bearer {guarded.token}")[0] == 200, path


def test_a_page_logs_in_by_a_cookie_that_nobody_else_sends_or_sees(guarded):
    assert guarded.send("POST", "/login", b'{"token": "wrong"}', **JSON)[0] == 401
    token = json.dumps({"token": guarded.token}).encode()
    assert guarded.send("POST", "/login", token, Origin="http://evil.example", **JSON)[0] == 403
    status, headers, _ = guarded.send("POST", "/login", token, **JSON)
    assert status == 204
    cookie, _, rest = headers["set-cookie"].partition("; ")
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(rest.split("; "))
    assert guarded.token not in cookie
    assert guarded.send("GET", "/v1/jobs", Cookie=f"a=b; {cookie}")[0] == 200
    assert guarded.send("POST", "/logout", Cookie=cookie)[0] == 204
    assert guarded.send("GET", "/v1/jobs", Cookie=cookie)[0] == 401


def test_a_token_stands_nowhere(guarded):
    guarded.send("GET", f"/v1/jobs?token={guarded.token}", Authorization=f"Bearer {guarded.token}")
    guarded.send("GET", f"/{guarded.token}")
    guarded.send("POST", "/login", json.dumps({"token": [guarded.token]}).encode(), **JSON)
    said = guarded.log.read_text()
    assert said.count(guarded.token) == 1  # where it was shown
    kept = [path for path in guarded.log.parent.rglob("*") if path.is_file() and path != guarded.log]
    assert len(kept) > 2
    assert not [path for path in kept if guarded.token.encode() in path.read_bytes()]
    assert (guarded.log.parent / "token").stat().st_mode & 0o077 == 0


def test_a_webhook_to_loopback_is_refused(guarded, clip):
    client = guarded.client
    order = {"upload": client.upload(clip), "webhook": {"url": f"{guarded.address}/logout"}}
    order["webhook"]["secret"] = "whsec_" + "A" * 32
    with pytest.raises(WebError, match="not public") as refused:
        client.ask("POST", "/v1/jobs", order)
    assert refused.value.status == 422
    assert client.get("/v1/jobs") == []


def test_a_token_file_holds_a_hash(tmp_path):
    path = tmp_path / "token"
    hash, token = token_hash(path)
    assert token_hash(path) == (hash, "")
    with closing(Store(tmp_path / "db")) as store:
        tokens = Tokens(store, hash)
        assert tokens.is_right(token)
        assert not tokens.is_right(token[:-1])
        assert not tokens.is_right("\udcff")
    path.write_text("secret\n")
    with pytest.raises(ConfigError, match="sha256sum"):
        token_hash(path)


def test_large_bodies_are_refused_before_they_come(web_server):
    name, port = web_server.host.split(":")
    for path, length in {"/v1/jobs": 10**10, "/upscale": 10**10, "/login": 1 << 20}.items():
        with socket.create_connection((name, int(port)), timeout=60) as line:
            line.sendall(
                f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()
            )
            assert line.recv(100).split()[1] == b"413", path
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with socket.create_connection((name, int(port)), timeout=60) as line:  # one that does not say how large
        line.sendall(
            b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + piece * 2
        )
        assert line.recv(100).split()[1] in (b"400", b"413")
    assert web_server.send("GET", "/healthz")[0] == 200


def test_who_does_not_come_to_the_point_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_WITHIN_S", 0.5)
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 8)
    with served(tmp_path) as client, ExitStack() as stack:
        host, port = client._parts.netloc.split(":")

        def connected() -> socket.socket:
            return stack.enter_context(socket.create_connection((host, int(port)), timeout=30))

        slow, silent, second = (connected() for _ in range(3))
        head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
        second.sendall(head + b"\r\n")
        answer = b""
        while not answer.endswith(b"ok\n"):
            answer += second.recv(4096)
        for line in (slow, second):
            line.sendall(head)
        began = time.monotonic()
        with suppress(OSError):  # a byte at a time, until it is heard no more
            while time.monotonic() < began + 30:
                slow.sendall(b"X")
                time.sleep(0.05)
        assert time.monotonic() - began < 25
        assert silent.recv(100) == second.recv(100) == b""
        assert client.ask("GET", "/healthz")[1] == b"ok\n"

        many = [connected() for _ in range(20)]
        gone = sum(_is_closed(line) for line in many)
        assert gone >= 12
        wait_until(lambda: all(map(_is_closed, many)))
        assert client.ask("GET", "/healthz")[1] == b"ok\n"


def _is_closed(line: socket.socket) -> bool:
    line.settimeout(0.2)
    try:
        return line.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_a_playlist_that_names_other_files_is_no_video(web_server, clip, tmp_path):
    playlist = tmp_path / "clip.mp4"
    names = [str(clip), f"file://{clip}", "http://127.0.0.1:9/x.ts"]
    for text in [f"#EXTM3U\n#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n" for name in names] + [
        f"ffconcat version 1.0\nfile {clip}\n"
    ]:
        playlist.write_text(text)
        client = web_server.client
        upload = client.upload(playlist)
        with pytest.raises(WebError):
            client.get(f"/v1/uploads/{upload}/probe")
        assert client.wait(client.order(upload, model="bicubic-x2")["id"], every_s=0.05)["state"] == "failed"


def test_a_picture_that_unpacks_to_gigabytes_is_refused_by_its_header(web_server, tmp_path):
    bomb = tmp_path / "bomb.png"
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(10**7))),
    ]
    chunks = [
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d))
        for k, d in [*parts, (b"IEND", b"")]
    ]
    bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    upload = web_server.client.upload(bomb)
    with pytest.raises(WebError, match="60000") as refused:
        web_server.client.get(f"/v1/uploads/{upload}/probe")
    assert refused.value.status == 422


def test_a_page_that_was_uploaded_is_never_shown_as_one(web_server, tmp_path):
    page = tmp_path / "a.html"
    page.write_text("<script>alert(1)</script>")
    upload = web_server.client.upload(page)
    for path in (f"/v1/uploads/{upload}", f"/v1/uploads/{upload}/source", f"/uploads/{upload}/source"):
        status, headers, _ = web_server.send("GET", path)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-type"] in ("application/json", "application/problem+json"), status


def test_every_answer_says_what_a_page_may_do(web_server):
    for path in ("/v1/jobs", "/docs", "/nothing"):
        headers = web_server.send("GET", path)[1]
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]


def test_one_server_holds_a_folder(tmp_path):
    with closing(DataFolder(tmp_path)), pytest.raises(ConfigError, match="--data"):
        DataFolder(tmp_path)
    DataFolder(tmp_path).close()


def test_a_folder_of_others_is_left_alone(tmp_path):
    for name in ("previews/holiday.png", "jobs/letter.txt", "notes.txt"):
        root = tmp_path / name.partition(".")[0].replace("/", "-")
        theirs = root / name
        theirs.parent.mkdir(parents=True)
        theirs.write_text("theirs")
        root.chmod(0o755)
        with pytest.raises(ConfigError, match="has not made"):
            DataFolder(root)
        assert theirs.read_text() == "theirs"
        assert root.stat().st_mode & 0o777 == 0o755
    DataFolder(tmp_path / "new").close()
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    DataFolder(tmp_path / "new").close()  # begun, and ended before there was a database


def test_a_taken_port_is_said(web_server, tmp_path, capsys):
    port = web_server.host.split(":")[1]
    assert run(["web", "--port", port, "--data", str(tmp_path)]) == 2
    assert "cannot be listened on" in capsys.readouterr().err


def test_a_client_without_a_server_is_told_by_the_system():
    with pytest.raises(OSError):
        Client("http://127.0.0.1:9").get("/v1/jobs")


def test_nothing_of_a_client_becomes_a_path(web_server):
    root = Path("/etc")
    for id in ("..", "../..", "%2e%2e", "....//", str(root), "a" * 500, b"\x00".hex()):
        for path in (
            f"/v1/uploads/{id}",
            f"/v1/jobs/{id}",
            f"/v1/jobs/{id}/result",
            f"/v1/previews/{id}/after.png",
        ):
            assert web_server.send("GET", path)[0] in (404, 405), path
