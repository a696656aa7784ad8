"""What a command loads: those that enhance nothing start without PyTorch and OpenCV, which take three seconds."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from vsr.cli.main import COMMANDS, run

HEAVY = {"torch", "cv2", "scipy", "onnx", "onnxruntime", "ray", "safetensors", "spandrel", "tifffile"}
RUN = "from vsr.cli.main import run; run(sys.argv[1:])"
SAMPLES = Path(__file__).resolve().parents[1] / "samples"


def loaded_by(code: str, *words: str) -> set[str]:
    """What of `HEAVY` a fresh process has loaded after some lines of Python."""
    script = f"import sys; {code}; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stderr.split())


def test_the_package_alone_loads_nothing_heavy():
    assert not loaded_by("import vsr; vsr.EnhanceOptions")


WORDS = [
    "--help",
    "enhanse clip.mp4",
    "jobs list",
    "jobs clean --help",
    "probe --help",
    "models",
    "models show fast-x2",
]


@pytest.mark.parametrize("words", WORDS)
def test_a_command_that_enhances_nothing_loads_nothing_heavy(words: str):
    assert not loaded_by(RUN, *words.split())


def test_a_mistyped_command_is_answered_with_what_was_meant(capsys: pytest.CaptureFixture[str]):
    assert run(["enhanse", "clip.mp4"]) == 2
    assert 'Did you mean "enhance"? Available commands: enhance, batch' in capsys.readouterr().err


@pytest.mark.parametrize("name", ["street.mp4", "astronaut.png"])
def test_probing_loads_nothing_heavy(name: str):
    assert not loaded_by(RUN, "probe", str(SAMPLES / name))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_line_is_the_beginning_of_its_own_help(name: str):
    place, line = COMMANDS[name]
    module, attribute = place.split(":")
    command = getattr(import_module(f"vsr.cli.{module}"), attribute)
    text = command.help if hasattr(command, "help") else command.__doc__
    assert " ".join(text.split("\n\n")[0].split()) == line
