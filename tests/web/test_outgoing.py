"""Whom a server asks on a client's word, and whom not."""

import pytest
from support.file_store import file_store

from vsr.errors import ConfigError, ReadError
from vsr.web import outgoing
from vsr.web.outgoing import answer_of, check_url


def test_this_machine_is_not_asked_by_any_of_its_names():
    with file_store() as store:
        port = store.server_address[1]
        for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0"):
            for ask in (
                lambda address: check_url(address, private=False, resolve=True),
                lambda address: answer_of("GET", address).__enter__(),
            ):
                with pytest.raises(ConfigError, match="is not public"):
                    ask(f"http://{host}:{port}/")
        assert store.asked == []


def test_what_is_no_address_is_refused():
    for address in ("ftp://a/b", "http://", "https://a:99999/", "http://a b/", "http://me:pw@8.8.8.8/", "x"):
        with pytest.raises(ConfigError) as refused:
            check_url(address, private=False, resolve=True)
        assert "pw" not in str(refused.value)
    with pytest.raises(ReadError, match="cannot be found"):
        check_url("http://nowhere.invalid/", private=False, resolve=True)


def test_a_public_server_leads_to_no_other(monkeypatch):
    """`127.0.0.1` plays the public one."""
    monkeypatch.setattr(outgoing, "is_public", lambda address: address == "127.0.0.1")
    with file_store() as store:
        store.files["/a"] = b"there"
        store.leads_to = store.at("/a").replace("127.0.0.1", "127.0.0.2")
        with pytest.raises(ConfigError, match=r"127\.0\.0\.2"), answer_of("GET", store.at("/elsewhere")):
            pass
        store.leads_to = store.at("/a")
        with answer_of("GET", store.at("/elsewhere")) as answer:
            assert answer.read() == b"there"
        store.leads_to = store.at("/elsewhere")
        with pytest.raises(ReadError, match="on and on"), answer_of("GET", store.at("/elsewhere")):
            pass
        with answer_of("PUT", store.at("/elsewhere"), body=b"x", headers={"Content-Length": "1"}) as answer:
            assert answer.status == 200  # no PUT is sent on
