"""The entry point: one app, one command per file, errors mapped to exit codes.

0 done, 1 failed, 2 wrong usage, 3 done but the output check found a difference, 4 a GPU was lost, 130 interrupted.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import NoReturn

from cyclopts import App, ArgumentCollection, CycloptsError, Parameter
from cyclopts.config import Dict

import vsr
from vsr.cli.console import fail, let_go_of_broken_streams, open_standard_streams
from vsr.cli.presets import find_config
from vsr.cli.signals import take_signals
from vsr.engine import tune_process
from vsr.errors import ConfigError, DeviceLostError, VerifyError, VsrError, reason_of, story_of
from vsr.offspring import end_within
from vsr.toml_options import read_tables

_END_WITHIN_S = 3.5
"""What a command may take to clean up when it is interrupted."""
_TAKES_LONGER_S = {"serve": 29.0, "live": 9.0}
"""The same for commands that finish what is under way."""
_FULL = errno.ENOSPC, errno.EDQUOT
"""What says that a disk, or what may be used of it, is full."""

COMMANDS = {
    "enhance": ("enhance:enhance_command", "Enhance videos, pictures, folders or globs of both."),
    "batch": (
        "batch:batch_command",
        "Enhance an archive: what is done and verified is left alone, so the same command goes on, any number of"
        " times.",
    ),
    "watch": (
        "watch:watch_command",
        "Enhance what is put into a folder, until SIGTERM or Ctrl-C; the same command goes on where it was.",
    ),
    "live": ("live:live", "Enhance cameras while they run."),
    "web": (
        "web:web_command",
        "Serve a page and an API: upload, preview, enhance, take home. Until SIGTERM or Ctrl-C.",
    ),
    "serve": (
        "serve:serve_command",
        "Answer as a cloud's container: GET /ping, and POST /invocations with a picture, until SIGTERM.",
    ),
    "probe": ("probe:probe_command", "Print what was found in a video or picture."),
    "doctor": (
        "doctor:doctor_command",
        "Say what works here: devices, precision, FFmpeg, and encoders by really encoding.",
    ),
    "compare": (
        "compare:compare_command",
        "Compare two videos or pictures: PSNR and SSIM where sizes fit, and a picture or clip of both.",
    ),
    "evidence": (
        "evidence:evidence",
        "Check, show and repeat what `--evidence` has recorded.",
    ),
    "support": (
        "support:support_command",
        "Say how much of a result, made by whatever program, its source supports.",
    ),
    "bench": (
        "bench:bench_command",
        "Measure the pipeline: each stage alone, all together, and the device's peak. Leave the machine to it.",
    ),
    "eval": (
        "evaluate:eval_command",
        "Score models: PSNR and SSIM on luma, borders of `scale` pixels cropped; on clips also steadiness and"
        " time.",
    ),
    "train": (
        "train:train_command",
        "Train a network on folders of pictures; a run that was stopped goes on where it was.",
    ),
    "calibrate": (
        "calibrate:calibrate_command",
        "Prepare networks of our own for --precision int8, as `vsr train` does by itself; or calibrate maps of"
        " support.",
    ),
    "jobs": ("jobs:jobs", "List, show and clean up long jobs that lie unfinished."),
    "models": ("models:models", "List, show, fetch and check models."),
}
"""Where each command is, and its line in `vsr --help`, for which nothing is loaded."""


def command_app(words: Sequence[str]) -> App:
    """Every command by its place: most need PyTorch, which takes two seconds. The one
    that is asked for speaks for itself."""
    app = App(
        name="vsr",
        help="Video super-resolution and deblurring as a stream.",
        version=vsr.__version__,
        default_parameter=Parameter(negative=()),
        suppress_keyboard_interrupt=False,  # `run` says so in a line and gives the exit code
        config=_config_file(words),
    )
    for name, (place, line) in COMMANDS.items():
        app.command(f"vsr.cli.{place}", name=name, help=None if name in words else line)
    return app


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process with its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    open_standard_streams()
    tune_process()
    take_signals(_interrupt)
    end_within(
        _TAKES_LONGER_S.get(words[0] if words else "", _END_WITHIN_S),
        signal.SIGTERM,
        signal.SIGINT,
        code=130,
        last_words=lambda: fail("interrupted; it did not end by itself"),
    )
    try:
        code = run(words)
    except KeyboardInterrupt:  # another one, while what had happened was told
        code = 130
    take_signals(lambda *_: os._exit(code))  # who is impatient now waits for Python's own end
    let_go_of_broken_streams()
    if code == 130 or words[:1] == ["live"]:
        # Python's own end takes a second of processor time with PyTorch, many of the clock on a busy machine, and
        # nobody could cut it short; live, which is told how soon to end, has closed by now what it has opened.
        os._exit(code)
    sys.exit(code)


def undashed(words: Sequence[str]) -> list[str]:
    """The same words, of `enhance` standard input and output by a name that the parser does not take for a flag."""
    return ["pipe:" if word == "-" and words[0] == "enhance" else word for word in words]


def run(words: list[str]) -> int:
    """Run one command; returns the exit code."""
    words = undashed(words)
    debug = "--debug" in words
    try:
        _check_command(words)
        result = command_app(words)(
            words, exit_on_error=False, print_error=False, result_action="return_value"
        )
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except SystemExit:
        raise
    except BaseException as error:
        unwritten = let_go_of_broken_streams()
        if debug:
            sys.stderr.write(story_of(error))
        code, line = _explain(error, unwritten)
        if line:
            fail(line)
        return code


def _check_command(words: Sequence[str]) -> None:
    """Refuse a first word that is no command: to say what is like it the parser would load them all, and PyTorch."""
    name = words[0] if words else ""
    if name and not name.startswith("-") and name not in COMMANDS:
        like = get_close_matches(name, COMMANDS, 1)
        meant = f' Did you mean "{like[0]}"?' if like else ""
        raise ConfigError(f'Unknown command "{name}".{meant} Available commands: {", ".join(COMMANDS)}')


def _explain(error: BaseException, unwritten: OSError | None) -> tuple[int, str]:
    """Exit code and one line for an error; `unwritten` is why standard output takes nothing."""
    if isinstance(error, KeyboardInterrupt):
        return 130, f"interrupted; {error}" if str(error) else "interrupted"
    if isinstance(error, BrokenPipeError):  # the reader of standard output has gone, as in `vsr probe | head`
        return 1, ""
    if isinstance(error, OSError) and unwritten is not None:
        return 1, f"standard output cannot be written: {reason_of(unwritten)}"
    if isinstance(error, OSError) and error.errno in _FULL:  # under PYTHONUNBUFFERED nothing is left to flush
        return 1, f"standard output, or a file, cannot be written: {reason_of(error)}"
    if isinstance(error, CycloptsError):
        return 2, " ".join(str(error).split())
    if isinstance(error, ConfigError):
        return 2, str(error)
    if isinstance(error, VerifyError):
        return 3, str(error)
    if isinstance(error, DeviceLostError):
        return 4, str(error)
    if isinstance(error, VsrError):
        return 1, str(error)
    return 1, f"unexpected {type(error).__name__}: {error} (run again with --debug for the whole story)"


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _config_file(words: Sequence[str]) -> tuple[Callable[..., None], ...]:
    """Find `--config FILE`: its keys come after the defaults and before the
    flags; an unknown one is an error."""
    if len(words) > 1 and words[0] == "train" and words[1].endswith(".toml"):
        words = ["train", "--config", *words[1:]]  # the one command whose first word may be its config
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == "--config":
            path = find_config(value if equals else "".join(words[index + 1 : index + 2]))
            return (partial(_read_keys, path),)
    return ()


def _read_keys(path: Path, app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Take a file's keys for the command's options: also those that are named
    as a command is, such as `batch`."""
    keys = read_tables(path)
    for command in reversed(commands):  # below its name, or cyclopts takes them for other commands' tables
        keys = {command: keys}
    Dict(keys, source=str(path.absolute()), allow_unknown=False)(app, commands, arguments)
