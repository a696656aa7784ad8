"""What others have written reaches the terminal as text: nothing in it is obeyed."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.text import Text
from support.archives import picture

from vsr.archive.entry import Entry
from vsr.archive.manifest import write_manifest
from vsr.cli.console import cell, fail, say, show, spelled_out
from vsr.cli.main import run

HOSTILE = "a\x1b]0;owned\x07b\x1b[2Jc\x9b31md\u202egnp.exe\x7f\r\u2028e[red]f[/red]\udcff"
OBEYED = "\x1b\x07\x9b\x7f\r\u202e\u2028\udcff"


def test_controls_are_spelled_out_and_letters_are_left():
    assert spelled_out("a\x1b[31m\x9b\u202e\udcffé") == "a\\x1b[31m\\x9b\\u202e\\xffé"
    for plain in ("straße", "日本語", "עברית", "👩‍👩‍👧", "two\nlines", "[brackets]"):
        assert spelled_out(plain) == plain
    assert Text.from_markup(cell("[red]a[/red]\n")).plain == "[red]a[/red]\\n"


@pytest.mark.parametrize("speak", [say, fail, show])
def test_nothing_that_is_said_is_obeyed(speak: Callable[[str], None], capfd: pytest.CaptureFixture[str]):
    speak(HOSTILE)
    said = "".join(capfd.readouterr())
    assert not set(OBEYED) & set(said)
    assert "[red]f[/red]" in said


@pytest.mark.parametrize("key", ["title", "artist", "comment"])
def test_metadata_is_not_obeyed(make_clip: Callable[..., Path], capfd: pytest.CaptureFixture[str], key: str):
    clip = make_clip("a.mkv", metadata={key: "one\x1b[2J\x1b]52;c;aaaa\x07\ntwo"})
    assert run(["probe", str(clip)]) == 0
    said = capfd.readouterr().out
    assert "one\\x1b[2J\\x1b]52;c;aaaa\\x07\\ntwo" in said
    assert "\x1b" not in said


def test_a_name_is_not_obeyed(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    path = tmp_path / "\x1b]0;x\x07[red]a.png"
    picture(path)
    assert run(["enhance", str(path), "-o", str(tmp_path / "out"), "--model", "bicubic"]) == 0
    assert run(["probe", str(path)]) == 0
    assert run(["probe", f"{path}.none"]) == 1
    assert not {"\x1b", "\x07"} & set("".join(capfd.readouterr()))


@pytest.mark.parametrize(
    "name", ["=cmd|' /C calc'!A0.mp4", "+1.mp4", "-1.mp4", "@SUM(A1).mp4", "\t=1.mp4", "\r=1.mp4"]
)
def test_no_cell_of_a_manifest_is_a_formula(tmp_path: Path, name: str):
    entry = Entry(result=name, source=f"/tapes/{name}", status="failed", error=f"{name} is damaged")
    write_manifest([entry], tmp_path / "manifest")
    with (tmp_path / "manifest.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["result"] == f"'{name}"
    assert row["error"] == f"'{name} is damaged"
    assert row["source"] == f"/tapes/{name}"
