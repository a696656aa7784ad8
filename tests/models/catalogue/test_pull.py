"""Models of others by name: fetched from a real server, whole or not at all, found by name, held against their hash."""

import json
import socket
import threading
from dataclasses import replace
from io import FileIO
from pathlib import Path

import pytest
from support.networks import tiny

from vsr.cli.main import run
from vsr.errors import ModelError
from vsr.models import load
from vsr.models.catalogue import download, model_facts
from vsr.models.catalogue.model_facts import ModelFacts, models_folder
from vsr.models.catalogue.pull import pull

FILE = "theirs.safetensors"


class Told:
    """Takes what a pull has to say."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.done: list[int] = []

    def pull(self, entry: ModelFacts, place: str = "") -> Path:
        return pull(entry, place=place, tell=self.lines.append, progress=self.done.append)


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


def test_a_pulled_model_is_found_by_its_name(entry, content):
    with pytest.raises(ModelError, match=r"theirs-x2 is not installed; `vsr models pull theirs-x2` .*WTFPL"):
        load("theirs-x2")
    told = Told()
    assert told.pull(entry).read_bytes() == content
    assert told.done == sorted(told.done)
    assert told.done[-1] == len(content)
    spec = load("theirs-x2").spec
    assert (spec.name, spec.scale, spec.licence, spec.sha256) == ("theirs-x2", 2, "WTFPL", entry.sha256)
    assert files_in(entry.path.parent) == {"theirs-x2.safetensors"}


def test_a_model_that_is_there_is_not_fetched_again(entry, server):
    Told().pull(entry)
    Told().pull(entry)
    assert len(server.asked) == 1


def test_a_damaged_one_is_refused_and_fetched_again(entry, server, content):
    Told().pull(entry).write_bytes(content[:-1] + b"x")
    with pytest.raises(ModelError, match=r"theirs-x2\.safetensors is damaged .* pull theirs-x2"):
        load("theirs-x2")
    assert Told().pull(entry).read_bytes() == content


def test_a_cut_connection_goes_on_where_it_was(entry, server, content):
    server.cuts = [1000, 500]
    assert Told().pull(entry).read_bytes() == content
    assert [wanted for _, wanted in server.asked] == ["", "bytes=1000-", "bytes=1500-"]


def test_the_next_command_goes_on_where_the_last_one_gave_up(entry, server, content):
    server.cuts = [100, 100, 100, 100]
    with pytest.raises(
        ModelError, match=rf"cut off at 400 of {len(content)} bytes .* the same command goes on there"
    ):
        Told().pull(entry)
    assert not entry.path.exists()
    assert Told().pull(entry).read_bytes() == content
    assert server.asked[-1][1] == "bytes=400-"


def test_a_server_that_cannot_go_on_begins_again(entry, server, content):
    server.cuts, server.ranges = [1000], False
    assert Told().pull(entry).read_bytes() == content


def test_what_was_left_of_another_file_is_thrown_away(entry, server, content):
    partial = entry.path.with_name(f".{entry.name}.{entry.sha256[:8]}.partial")
    partial.parent.mkdir()
    for size in (300, len(content)):
        partial.write_bytes(b"?" * size)
        told = Told()
        assert told.pull(entry).read_bytes() == content
        assert told.lines == ["theirs-x2: what was left of an earlier download does not fit; beginning again"]
        entry.path.unlink()


def test_what_has_the_wrong_hash_is_refused_and_removed(entry, server, content):
    server.files[f"/v1/{FILE}"] = content[:-1] + b"x"
    with pytest.raises(
        ModelError, match=rf"{FILE} is not theirs-x2: its SHA-256 begins with .*{entry.sha256[:16]}"
    ):
        Told().pull(entry)
    assert files_in(entry.path.parent) == set()


@pytest.mark.parametrize("size", [0, 50, 5000])
def test_a_file_of_another_size_is_refused_before_it_is_fetched(entry, server, content, size):
    server.files[f"/v1/{FILE}"] = (content * 9)[:size]
    with pytest.raises(ModelError, match=rf"offers another file \(application/octet-stream, {size} bytes"):
        Told().pull(entry)
    assert files_in(entry.path.parent) == set()


def test_what_passes_is_tried_again_and_what_stays_is_said(entry, server, content):
    server.codes = [503, 429]
    assert Told().pull(entry).read_bytes() == content
    entry.path.unlink()
    del server.files[f"/v1/{FILE}"]
    before = len(server.asked)
    with pytest.raises(ModelError, match=rf"{FILE} answers 404 Not Found"):
        Told().pull(entry)
    assert len(server.asked) == before + 1


def test_a_server_that_nobody_reaches_is_said_in_a_line(entry, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        monkeypatch.setenv("VSR_MODELS_MIRROR", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(
            ModelError, match=r"^127\.0\.0\.1 cannot be reached \(Connection refused\); is this mach"
        ):
            Told().pull(entry)


def test_redirections_are_followed_on_this_machine(entry, server, content):
    server.files["/there"] = server.files.pop(f"/v1/{FILE}")
    server.moved[f"/v1/{FILE}"] = f"{server.address}/there"
    server.cuts = [700]
    assert Told().pull(entry).read_bytes() == content
    assert server.asked[-1] == ("/there", "bytes=700-")


@pytest.mark.parametrize("address", ["http://example.com/x", "ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_what_is_not_encrypted_is_neither_asked_nor_followed(entry, server, address):
    with pytest.raises(ModelError, match=r"is refused; https is expected"):
        Told().pull(entry, address)
    server.moved[f"/v1/{FILE}"] = address
    with pytest.raises(ModelError, match=rf"leads to {address} is refused|{address}. is not allowed"):
        Told().pull(entry)


def test_an_encrypted_address_does_not_lead_to_one_that_is_not():
    with pytest.raises(ModelError, match=r"leads to http://127\.0\.0\.1/x is refused"):
        download.check_address("http://127.0.0.1/x", before="https://example.com/x")


def test_two_pulls_at_once_fetch_once(entry, server, content):
    asked, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        asked.set()
        go_on.wait(10)

    server.before_body = wait
    first, second = Told(), Told()
    second.lines = waiting = _Signal()
    threads = [threading.Thread(target=told.pull, args=(entry,)) for told in (first, second)]
    threads[0].start()
    assert asked.wait(10)
    threads[1].start()
    assert waiting.said.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert entry.path.read_bytes() == content
    assert len(server.asked) == 1
    assert list(waiting) == ["another vsr is pulling models; waiting for it"]


class _Signal(list[str]):
    def __init__(self) -> None:
        super().__init__()
        self.said = threading.Event()

    def append(self, line: str) -> None:
        super().append(line)
        self.said.set()


def test_a_full_disk_is_told_from_a_broken_connection(entry, server, monkeypatch):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    entry.path.parent.mkdir()
    monkeypatch.setattr(download, "_opened", lambda *_: FileIO("/dev/full", "wb"))
    with pytest.raises(ModelError, match=r"cannot take the file: No space left on device"):
        Told().pull(entry)
    assert len(server.asked) == 1


@pytest.mark.parametrize("name", [".lock", "partial"])
def test_nothing_is_written_through_a_link(entry, server, tmp_path, name):
    entry.path.parent.mkdir()
    (tmp_path / "diary").write_text("mine")
    partial = f".{entry.name}.{entry.sha256[:8]}.partial"
    (entry.path.parent / (partial if name == "partial" else name)).symlink_to(tmp_path / "diary")
    with pytest.raises(ModelError, match=r"link"):
        Told().pull(entry)
    assert (tmp_path / "diary").read_text() == "mine"


def test_a_file_that_cannot_fit_is_not_begun(entry, server, monkeypatch):
    object.__setattr__(entry, "num_bytes", 1 << 60)
    with pytest.raises(ModelError, match=rf"theirs-x2 needs {1 << 60} bytes more and .* has room for"):
        Told().pull(entry)
    assert server.asked == []


def test_a_folder_that_cannot_be_written_is_said(entry, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VSR_MODELS", str(tmp_path / "file" / "models"))
    with pytest.raises(
        ModelError, match=r"file/models cannot be written: Not a directory; \$VSR_MODELS names another"
    ):
        Told().pull(entry)


def test_models_come_from_a_folder_a_file_or_a_mirror(entry, server, content, tmp_path, monkeypatch):
    places = [str(tmp_path), str(tmp_path / FILE), f"{server.address}/v1/"]
    for place in places:
        assert Told().pull(entry, place).read_bytes() == content
        entry.path.unlink()
    monkeypatch.setenv("VSR_MODELS_MIRROR", places[0])
    assert Told().pull(entry).read_bytes() == content
    assert len(server.asked) == 1
    entry.path.unlink()
    with pytest.raises(
        ModelError, match=rf"models does not hold {FILE}; a folder with it, the file or an address"
    ):
        Told().pull(entry, str(entry.path.parent))


def test_what_has_no_address_says_how_to_get_it(entry):
    object.__setattr__(entry, "address", "")
    object.__setattr__(entry, "how", "ask the author")
    with pytest.raises(
        ModelError, match=rf"theirs-x2 has no address of its own: ask the author; then --from {FILE}"
    ):
        Told().pull(entry)


def test_the_commands_fetch_list_show_and_verify(entry, server, content, capsys):
    assert run(["models", "pull", "theirs-x2"]) == 0
    assert "theirs-x2" in capsys.readouterr().err
    assert run(["models", "--all"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["theirs-x2", "x2", "live", "yes", "luma", "WTFPL", "tests"] in rows
    assert ["fast-x2", "x2", "live", "yes", "luma", "37.14", "MIT", "video", "on", "a", "CPU"] in rows
    assert run(["models", "show", "theirs-x2", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert (card["state"], card["sha256"], card["network"]) == (
        "installed",
        entry.sha256,
        "plain (vsr's own)",
    )
    assert card["tiles"].startswith("exact")
    assert run(["models", "verify", "theirs-x2", "fast-x2"]) == 0
    assert capsys.readouterr().out == "theirs-x2: sound\nfast-x2: sound\n"


def test_the_short_list_goes_by_purpose_and_has_what_else_is_installed(entry, server, capsys):
    assert run(["models"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    heads = [row for row in rows if row in (["clean", "video"], ["real", "footage"], ["blur"])]
    assert heads == [["clean", "video"], ["real", "footage"], ["blur"]]
    fast, real = (next(row for row in rows if row[0] == name) for name in ("fast", "fast-real"))
    assert fast[:6] == ["fast", "2", "3", "4", "live", "yes"]
    assert rows.index(heads[0]) < rows.index(fast) < rows.index(heads[1]) < rows.index(real)
    assert not any(row[0] == "theirs-x2" for row in rows)
    assert run(["models", "pull", "theirs-x2"]) == 0
    capsys.readouterr()
    assert run(["models", "list"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[rows.index(["also", "here"]) + 1] == ["theirs-x2", "2", "live", "yes", "WTFPL", "tests"]


def test_the_short_list_fits_a_narrow_terminal():
    rows = [facts for facts in model_facts.all_models() if facts.group]
    assert 12 <= len({facts.tier or facts.name for facts in rows}) <= 20
    assert max(len(facts.purpose) for facts in rows) <= 30
    assert max(len(facts.tier or facts.name) for facts in rows) <= 23


def test_what_is_damaged_or_missing_is_listed_as_such(entry, server, content, capsys):
    assert run(["models", "verify", "theirs-x2"]) == 0
    assert capsys.readouterr().out == "theirs-x2: not installed\n"
    entry.path.parent.mkdir()
    entry.path.write_bytes(content[:-1])
    assert run(["models", "verify"]) == 1
    assert "theirs-x2: damaged" in capsys.readouterr().out
    assert run(["models"]) == 0
    assert "damaged" in capsys.readouterr().out
    assert run(["models", "show", "theirs-x2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "damaged"


def test_one_failure_does_not_keep_the_others_from_being_fetched(entry, server, monkeypatch, capsys):
    missing = replace(entry, name="gone-x2", address=f"{server.address}/gone")
    monkeypatch.setattr(model_facts, "PUBLISHED", (missing, entry))
    assert run(["models", "pull", "gone-x2", "theirs-x2"]) == 1
    assert entry.path.exists()
    assert "gone answers 404" in capsys.readouterr().err


def test_fetching_nothing_is_wrong_usage(entry, capsys):
    assert run(["models", "pull"]) == 2
    assert "name the models to fetch: theirs-x2" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "why"), [("fast-x2", "is built in"), ("nothing", "cannot be fetched")])
def test_what_cannot_be_fetched_is_answered_with_what_can(entry, name, why, capsys):
    assert run(["models", "pull", name]) == 1
    assert f"'{name}' {why}; these can be: theirs-x2" in capsys.readouterr().err


def test_a_file_by_path_has_a_card_too(tmp_path, content, capsys):
    assert run(["models", "show", str(tmp_path / FILE), "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert (card["name"], card["scale"], card["num_bytes"]) == ("theirs", 2, len(content))
    assert card["parameters"] == sum(weight.numel() for weight in tiny(2).parameters())


def test_models_lie_where_the_user_s_data_lies(monkeypatch):
    monkeypatch.setenv("VSR_MODELS", "/far/away")
    assert models_folder() == Path("/far/away")
    monkeypatch.delenv("VSR_MODELS")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert models_folder() == Path("/data/vsr/models")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    assert models_folder().parts[-2:] == ("vsr", "models")
    assert models_folder().is_relative_to(Path.home())


def test_every_entry_of_the_table_is_complete():
    names = [entry.name for entry in model_facts.PUBLISHED]
    assert len(names) == len(set(names))
    for entry in model_facts.PUBLISHED:
        assert len(entry.sha256) == 64
        assert entry.num_bytes > 0
        assert bool(entry.address) != bool(entry.how), entry.name
        if entry.address:
            download.check_address(entry.address)
            assert entry.address.endswith("/" + entry.file)
        with pytest.raises(ModelError, match=r"is not known"):
            published_without(entry.name)


def published_without(name: str) -> None:
    """What `load` says of the name where there is no such table: it must be no name of our own."""
    kept, model_facts.PUBLISHED = model_facts.PUBLISHED, ()
    try:
        load(name)
    finally:
        model_facts.PUBLISHED = kept
