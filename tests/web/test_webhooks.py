"""Whoever has asked for it is told when a job is over: signed, again and again until it is taken, and nobody else."""

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.archives import wait_until

from vsr.errors import ConfigError
from vsr.web.client import WebError
from vsr.web.data_folder import DataFolder
from vsr.web.outgoing import is_public, post
from vsr.web.records import Webhook
from vsr.web.store import Store
from vsr.web.web_options import WebOptions
from vsr.web.webhooks import Webhooks
from vsr.web.workshop import Workshop

KEY = b"a key that the receiver has, too"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


class Receiver:
    """Takes messages, or answers with what it is told to."""

    def __init__(self, *answers: int):
        self.answers, self.heard = list(answers), list[tuple[dict[str, str], bytes]]()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.heard.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 204)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/done?of=vsr"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@contextmanager
def receiving(*answers: int) -> Iterator[Receiver]:
    receiver = Receiver(*answers)
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()


def told(headers: dict[str, str], body: bytes) -> dict:
    """What a message says, once its signature is checked as Standard Webhooks describes it."""
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 60
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    wanted = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert wanted in [each.removeprefix("v1,") for each in headers["webhook-signature"].split(" ")]
    assert headers["content-type"] == "application/json"
    return json.loads(body)


def ended_job(work: Workshop, url: str, state: str = "succeeded") -> str:
    upload = work.uploads.create("film.mp4", 0)
    job = work.order(upload, {}, webhook=Webhook(url, SECRET))
    assert work.store.take("videos").id == job.id
    work.store.finish(job.id, state, "the disk is full" if state == "failed" else "", None)
    return job.id


@contextmanager
def telling(store: Store, *pauses_s: float, private: bool = True) -> Iterator[None]:
    webhooks = Webhooks(store, private=private, pauses_s=pauses_s)
    webhooks.start()
    try:
        yield
    finally:
        webhooks.stop()


def notes(store: Store, job: str) -> list[str]:
    return [event.data["text"] for event in store.events(0, job) if event.kind == "note"]


def test_the_end_of_a_job_is_told_by_a_server_that_may(web_server, clip):
    with receiving() as receiver:
        client = web_server.client
        order = {"upload": client.upload(clip), "options": {"model": "bicubic-x2", "preset": "ultrafast"}}
        order |= {"webhook": {"url": receiver.url, "secret": SECRET}}
        said = client.ask("POST", "/v1/jobs", order)[1]
        job = json.loads(said)
        assert job["webhook"] == receiver.url.replace("of=vsr", "of=***")
        assert SECRET.encode() not in said
        wait_until(lambda: receiver.heard)
        message = told(*receiver.heard[0])
        assert message["type"] == "job.succeeded"
        assert message["data"]["job"] == job["id"]
        assert message["data"]["name"] == clip.name
        assert client.get(f"/v1/jobs/{job['id']}")["state"] == "succeeded"
        order["webhook"]["secret"] = "whsec_c2hvcnQ="
        with pytest.raises(WebError, match="24 to 64 random bytes"):
            client.ask("POST", "/v1/jobs", order)


def test_what_is_not_taken_is_told_again_after_a_restart_too_and_once(tmp_path):
    with receiving(500, 302) as receiver, closing(DataFolder(tmp_path)) as data:
        with closing(Store(data.database)) as store:
            job = ended_job(Workshop(data, store, WebOptions(private_webhooks=True)), receiver.url, "failed")
            with telling(store, 0.05, 1000.0):
                wait_until(lambda: len(receiver.heard) == 2)  # where a redirect leads nobody has been
        with closing(Store(data.database)) as store:
            with store.database.writing():
                waiting = store.database.write("update deliveries set due_s = 0")
            assert waiting == 1
            with telling(store, 1000.0, 1000.0):
                wait_until(lambda: not store.database.rows("select * from deliveries"))
            assert notes(store, job) == []
        assert len({headers["webhook-id"] for headers, _ in receiver.heard}) == 1
        messages = [told(*each) for each in receiver.heard]
        assert len(messages) == 3
        assert messages[0] == messages[2]
        assert messages[0]["data"]["error"] == "the disk is full"


def test_in_the_end_the_job_is_told_that_nobody_listens(tmp_path):
    with (
        receiving(410) as receiver,
        closing(DataFolder(tmp_path)) as data,
        closing(Store(data.database)) as store,
    ):
        work = Workshop(data, store, WebOptions(private_webhooks=True))
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            jobs = [
                ended_job(work, url) for url in (receiver.url, f"http://127.0.0.1:{closed.getsockname()[1]}/")
            ]
            with telling(store, 0.01):
                wait_until(lambda: all(notes(store, job) for job in jobs))
        assert notes(store, jobs[0]) == ["the webhook was not taken: it answers 410"]
        assert "refused" in notes(store, jobs[1])[0]
        assert not store.database.rows("select * from deliveries")


def test_a_webhook_goes_to_no_address_of_this_machine_or_its_network(tmp_path, monkeypatch):
    with receiving() as receiver, closing(DataFolder(tmp_path)) as data:
        port = receiver.server.server_port
        with closing(Store(data.database)) as store:
            work = Workshop(data, store, WebOptions())
            for host in ("127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "10.1.2.3"):
                with pytest.raises(ConfigError, match="private-webhooks"):
                    ended_job(work, f"http://{host}:{port}/")
            for url in ("ftp://example.org/", "http://a:b@example.org/", "https://", "x", "http://a b/"):
                with pytest.raises(ConfigError, match="is no address"):
                    ended_job(work, url)
            # What stands behind a name is looked at when it is told, not when it is asked for.
            job = ended_job(work, f"http://localhost:{port}/")
            with telling(store, private=False):
                wait_until(lambda: notes(store, job))
            assert "which is not public" in notes(store, job)[0]
        assert receiver.heard == []

        # A name that stands for another address each time it is asked: what was looked at is what is reached.
        answers, reached = ["93.184.215.14", "127.0.0.1"], list[tuple]()

        def resolve(host, port, **named):
            if named["flags"]:
                raise OSError
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (answers.pop(0), port))]

        def reach(address, **_):
            reached.append(address)
            raise OSError("unreachable")

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        monkeypatch.setattr(socket, "create_connection", reach)
        with suppress(OSError):
            post(f"http://rebinding.example:{port}/", b"", {}, private=False, limit_s=5)
        assert reached == [("93.184.215.14", port)]
        assert receiver.heard == []


def test_which_addresses_are_public():
    public = ["93.184.215.14", "2606:4700::1", "64:ff9b::5db8:d70e", "2002:5db8:d70e::1", "::ffff:8.8.8.8"]
    assert [each for each in public if not is_public(each)] == []
    others = [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.9.9",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
    ]
    others += ["224.0.0.1", "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1%eth0", "fc00::1", "fec0::1"]
    others += ["ff02::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "2001:db8::1"]
    assert [each for each in others if is_public(each)] == []


def test_who_answers_a_byte_at_a_time_is_cut_off():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            line, _ = server.accept()
            with line, suppress(OSError):
                for letter in b"HTTP/1.1 200 " + b"O" * 1000:
                    line.send(bytes([letter]))
                    time.sleep(0.1)

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        with pytest.raises((OSError, HTTPException)):
            post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"x", {}, private=True, limit_s=0.3)
        assert time.monotonic() - began < 20


def test_a_secret_stands_in_no_message(tmp_path: Path):
    assert SECRET not in repr(Webhook("http://a.example/", SECRET))
