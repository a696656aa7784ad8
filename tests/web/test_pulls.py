"""Models of others, fetched through the server from a real one, with how far they are."""

import json
import threading

import pytest
from support.web_here import served

from vsr.web.client import Client, WebError


def told(client: Client, name: str) -> list[dict]:
    said = client.ask("GET", f"/v1/models/{name}/events")[1].decode()
    return [
        json.loads(line.removeprefix("data: ")) for line in said.splitlines() if line.startswith("data: ")
    ]


def test_a_model_comes_and_all_hear_how_far_it_is(entry, server, content, tmp_path):
    with served(tmp_path / "data") as client:
        place = f"/v1/models/{entry.name}"
        assert client.get(place)["state"] == "missing"
        going = threading.Event()
        server.before_body = going.wait
        begun = json.loads(client.ask("POST", place)[1])
        assert (begun["state"], begun["total"]) == ("running", len(content))
        assert json.loads(client.ask("POST", place)[1])["state"] == "running"  # and is not fetched twice
        threading.Timer(0.2, going.set).start()
        heard = told(client, entry.name)
        assert [each["state"] for each in heard][:1] == ["running"]
        assert heard[-1] == {
            "name": entry.name,
            "state": "installed",
            "bytes": len(content),
            "total": len(content),
            "error": "",
        }
        assert entry.path.read_bytes() == content
        assert json.loads(client.ask("POST", place)[1])["state"] == "installed"
        assert len(server.asked) == 1

        # One that is not what the catalogue says has failed, and can be fetched again.
        entry.path.unlink()
        server.files[f"/v1/{entry.file}"] = b"x" * len(content)
        client.ask("POST", place)
        assert "SHA-256" in told(client, entry.name)[-1]["error"]
        server.files[f"/v1/{entry.file}"] = content
        client.ask("POST", place)
        assert told(client, entry.name)[-1]["state"] == "installed"


def test_what_nobody_can_fetch_is_said(entry, tmp_path):
    with served(tmp_path / "data") as client:
        for name in ("nothing", "fast-x2", "bicubic-x2", "..%2f..%2fetc"):
            with pytest.raises(WebError) as refused:
                client.ask("POST", f"/v1/models/{name}")
            assert refused.value.status == 404
