"""The README and the pages below `docs/`: every command shown parses, every file and heading named is there."""

import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from cyclopts import CycloptsError

import vsr
from vsr.cli.main import command_app, undashed
from vsr.errors import ConfigError

ROOT = next(folder for folder in Path(__file__).resolve().parents if (folder / "pyproject.toml").exists())
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "samples" / "README.md",
    *(ROOT / "docs").glob("*.md"),
]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(vsr [^`]*? --[^`]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED = re.compile(r"(?<![\w/.~-])(?:vsr|configs|docs|tests|samples)/[\w./*-]*[\w*/]")
DEFINED = re.compile(r"`(\w+)`(?:,| in)\s`(vsr/[\w./]+\.py)`")
MODULE = re.compile(r"`([\w./]+\.py)`")


def commands(script: str) -> Iterator[list[str]]:
    """The words after `vsr` of each of its commands in a shell script."""
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        command: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("();<>|&"):
                while command and re.fullmatch(r"[A-Za-z_]\w*=.*", command[0]):
                    del command[0]
                if command[:1] == ["vsr"]:
                    yield command[1:]
                elif "vsr" in command and command[command.index("vsr") - 1] == "-m":
                    yield command[command.index("vsr") + 1 :]
                command = []
            else:
                command.append(word)


def parse(words: list[str]) -> None:
    """Have the real app read a command line as `vsr` would, without running it.

    Raises:
        CycloptsError, ConfigError: it would be refused.
    """
    words = undashed(words)
    command_app(words).parse_args(words, exit_on_error=False, print_error=False)


def shown(page: Path) -> Iterator[list[str]]:
    """All commands of a page: those in its shell blocks, and those within text that have a flag."""
    text = page.read_text(encoding="utf-8")
    for language, block in FENCE.findall(text):
        if language == "sh":
            yield from commands(block)
    for command in INLINE.findall(FENCE.sub("", text)):
        yield from commands(" ".join(command.split()))


def headings(page: Path) -> set[str]:
    """Anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def by_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_every_command_shown_parses(page: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    wrong: list[str] = []
    for words in shown(page):
        try:
            parse(words)
        except (CycloptsError, ConfigError) as error:
            wrong.append(f"vsr {shlex.join(words)}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_every_link_and_file_named_exists(page: Path):
    text = page.read_text(encoding="utf-8")
    wrong: list[str] = []
    for link in LINK.findall(FENCE.sub("", text)):
        place, _, heading = link.partition("#")
        target = page.parent / place if place else page
        if not link.startswith("https://") and not (
            target.exists() and (not heading or heading in headings(target))
        ):
            wrong.append(link)
    wrong += [name for name in NAMED.findall(text) if "NAME" not in name and not any(ROOT.glob(name))]
    beside = (
        page.parent,
        ROOT / "vsr",
        *(folder for folder in (ROOT / "tests").rglob("") if folder.is_dir()),
    )
    named = [name for name in MODULE.findall(text) if not NAMED.match(name)]
    wrong += [name for name in named if not any((folder / name).is_file() for folder in beside)]
    wrong += [
        name
        for name, place in DEFINED.findall(text)
        if name not in (ROOT / place).read_text(encoding="utf-8")
    ]
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_python_shown_uses_what_the_library_promises(page: Path):
    blocks = [
        block for language, block in FENCE.findall(page.read_text(encoding="utf-8")) if language == "python"
    ]
    for block in blocks:
        compile(block, page.name, "exec")
        taken = re.findall(r"^from (vsr\.\w+) import (\w+)$", block, re.MULTILINE)
        assert all(hasattr(import_module(package), name) for package, name in taken)
        packages = {package.removeprefix("vsr.") for package, _ in taken}
        assert set(re.findall(r"vsr\.(\w+)", block)) - packages <= set(vsr.__all__)


def test_the_readme_is_short_and_names_every_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    pages = {by_name(page) for page in PAGES if page.name != "README.md"}
    assert pages <= set(LINK.findall(text))


def test_commands_are_found_past_comments_continuations_variables_and_pipes():
    script = """
# vsr in a comment
pip install . && vsr probe a.mp4 --json | head  # and vsr here
VSR_FFMPEG=/opt/ffmpeg vsr bench CLIP --size 640x360 \\
    --against 'python loop.py {input} # {output}' > out.txt
torchrun --nproc-per-node=4 -m vsr train configs/a.toml; ls vsr/
"""
    assert list(commands(script)) == [
        ["probe", "a.mp4", "--json"],
        ["bench", "CLIP", "--size", "640x360", "--against", "python loop.py {input} # {output}"],
        ["train", "configs/a.toml"],
    ]


@pytest.mark.parametrize(
    "line",
    [
        "vsr enhance clip.mp4 --sise 640x480",
        "vsr enhance clip.mp4 --scale 5",
        "vsr enhence clip.mp4",
        "vsr train configs/train-fast-x2.toml --data PICTURES",
        "vsr enhance clip.mp4 --config missing.toml",
    ],
)
def test_a_wrong_flag_value_command_or_config_is_seen(line: str):
    (words,) = commands(line)
    with pytest.raises((CycloptsError, ConfigError)):
        parse(words)
