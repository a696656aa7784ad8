"""Naming a model that is not installed: the question on a real terminal, and what holds where there is none."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pytest

from vsr.cli.main import run

PULL = "`vsr models pull theirs-x2` installs it (WTFPL)"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "photo.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), np.full((8, 8, 3), 100, np.uint8))
    return path


@contextmanager
def terminal(keys: str = "") -> Iterator[list[str]]:
    """Put a pseudo-terminal at the other end of standard input and standard error; gives what was to be seen."""
    if not hasattr(os, "openpty"):
        pytest.skip("no pseudo-terminals here")
    seen: list[str] = []
    master, slave = os.openpty()
    os.write(master, keys.encode())
    with (
        open(slave, encoding="utf-8") as reader,
        open(os.dup(slave), "w", encoding="utf-8") as writer,
        patch.object(sys, "stdin", reader),
        patch.object(sys, "stderr", writer),
    ):
        yield seen
    seen.append(_rest_of(master).decode())
    os.close(master)


def _rest_of(master: int) -> bytes:
    """All that was written to the other end, which is closed; Linux ends with an error."""
    parts = b""
    with suppress(OSError):
        while part := os.read(master, 1 << 16):
            parts += part
    return parts


def enhanced(photo: Path, *more: str) -> int:
    out = photo.parent.parent / "out.png"
    return run(["enhance", str(photo), "-o", str(out), "--model", "theirs-x2", "--overwrite", *more])


@pytest.mark.parametrize(
    ("keys", "code"), [("\n", 0), ("Y\n", 0), ("yes\n", 0), ("n\n", 1), ("maybe\n", 1), ("\x04", 1)]
)
def test_a_terminal_is_asked(keys: str, code: int, photo, entry, server):
    with terminal(keys) as seen:
        assert enhanced(photo, "--quiet") == code
    size = f"{entry.num_bytes / 1000:.3g} kB"
    assert f"theirs-x2: {size}, WTFPL, from 127.0.0.1; fetch it? [Y/n] " in seen[0]
    assert (PULL in seen[0]) == (code == 1)
    assert len(server.asked) == entry.path.exists() == (code == 0)


def test_what_is_installed_is_not_asked_about(photo, entry, server):
    with terminal("\n") as seen:
        assert enhanced(photo) == 0
        assert enhanced(photo) == 0
    assert seen[0].count("fetch it?") == 1
    assert len(server.asked) == 1


@pytest.mark.parametrize(("flags", "pull"), [(["--yes"], ""), ([], "always")])
def test_who_agreed_beforehand_is_not_asked(flags, pull, photo, entry, monkeypatch):
    monkeypatch.setenv("VSR_PULL", pull)
    with terminal() as seen:
        assert enhanced(photo, *flags) == 0
    assert "fetch it?" not in seen[0]
    assert entry.path.is_file()


def test_never_is_never_asked(photo, entry, server, monkeypatch):
    monkeypatch.setenv("VSR_PULL", "never")
    with terminal("\n") as seen:
        assert enhanced(photo) == 1
    assert "fetch it?" not in seen[0]
    assert server.asked == []


def test_a_word_that_nobody_knows_is_refused(photo, entry, monkeypatch, capsys):
    monkeypatch.setenv("VSR_PULL", "yes")
    assert enhanced(photo) == 2
    assert "VSR_PULL=yes is not known; ask, always, never are accepted" in capsys.readouterr().err


def test_what_is_only_to_be_had_by_hand_is_not_asked_about(photo, entry):
    object.__setattr__(entry, "address", "")
    object.__setattr__(entry, "how", "ask the author")
    with terminal("\n") as seen:
        assert enhanced(photo) == 1
    assert "fetch it?" not in seen[0]
    assert PULL in seen[0]


def test_what_more_it_needs_is_asked_with_it_and_a_mirror_is_named(photo, entry, monkeypatch):
    object.__setattr__(entry, "needs", "zoo")
    monkeypatch.setenv("VSR_MODELS_MIRROR", "/media/stick")
    with terminal("n\n") as seen:
        assert enhanced(photo) == 1
    assert "from /media/stick, needs vsr[zoo]; fetch it?" in seen[0]


@pytest.mark.parametrize("command", ["enhance", "batch", "watch", "live", "live of a file", "bench", "eval"])
def test_without_a_terminal_every_command_says_how(command, photo, entry, server, tmp_path, capsys):
    folder, out = str(photo.parent), str(tmp_path / "out")
    output = f'outputs = [{{ kind = "snapshot", target = "{out}.jpg" }}]'
    camera = f'[[cameras]]\nname = "gate"\nurl = "{photo}"\n{output}\n'
    (tmp_path / "cameras.toml").write_text(f'models = ["theirs-x2"]\n{camera}')
    words = {
        "enhance": ["enhance", folder, "-o", out],
        "batch": ["batch", folder, "-o", out],
        "watch": ["watch", folder, "-o", out],
        "live": ["live", str(photo), "--snapshot", f"{out}.jpg"],
        "live of a file": ["live", str(tmp_path / "cameras.toml")],
        "bench": ["bench"],
        "eval": ["eval", folder],
    }[command]
    named = [] if command == "live of a file" else ["--model", "theirs-x2"]
    assert run([*words, *named]) == 1
    assert PULL in capsys.readouterr().err
    assert server.asked == []
