"""The command in processes in which calls that change files fail, as `faults.c` has it; and what such calls there are.

A server, loaded with that library, forks a process for each run, which does not load PyTorch anew. FFmpeg, and the
workers of a batch, come under the same plan.
"""

import ctypes
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

CALLS = ("write", "fsync", "rename", "unlink", "open")
"""Of each, all that does the same: `open` is also making folders, `rename` also giving a second name."""
KILL, SHORT = -1, -2
"""Instead of an error: the process is killed; half is written, and said to be."""

_PLAN = struct.Struct(f"4i{len(CALLS)}i1024s")
_LIMIT_S = 60.0
_SET_CHILD_SUBREAPER = 36  # prctl(2)


def why_no_faults() -> str:
    """Why there can be none here; empty where there can."""
    return (
        "" if sys.platform == "linux" and shutil.which("cc") else "faults: Linux and a C compiler are needed"
    )


@dataclass(frozen=True)
class Ran:
    """How a run went."""

    code: int
    """Of its exit; negative for a signal."""
    counts: dict[str, int]
    """How often each call came."""
    fired: bool
    """Whether the fault came."""
    said: str


class FaultyCommand:
    """`vsr` with faults in the calls that concern one folder. A context manager: its server ends with it."""

    def __init__(self, place: Path, *warm_up: str | Path):
        """Build the library in `place`, and start the server, which runs the command once, with these words."""
        self._plan, self._log = place / "plan", place / "log"
        library = place / "faults.so"
        source = Path(__file__).with_name("faults.c")
        build = ["cc", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-o", library, source, "-ldl"]
        subprocess.run(build, check=True)
        paths = os.pathsep.join([str(source.parents[1]), *sys.path])
        environment = os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        self._server = subprocess.Popen(
            [sys.executable, "-m", "support.faults", *warm_up],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def run(self, words: list[str], folder: Path, *, call: str = "", nth: int = 0, what: int = 0) -> Ran:
        """Run the command; where a call is named, its nth in the folder has an error number, or a KILL or SHORT."""
        place = CALLS.index(call) if call else -1
        self._plan.write_bytes(_PLAN.pack(place, nth, what, 0, *[0] * len(CALLS), os.fsencode(folder)))
        self._log.write_bytes(b"")
        order = {"words": words, "plan": str(self._plan), "log": str(self._log)}
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        code = int(self._server.stdout.readline())
        fired, *counts = _PLAN.unpack(self._plan.read_bytes())[3:-1]
        return Ran(code, dict(zip(CALLS, counts, strict=True)), bool(fired), self._log.read_text())


def serve(warm_up: list[str]) -> None:
    """A server's life: a line says what to run, a line says how it ended, together with all that it had started."""
    import vsr.cli.batch  # noqa: F401 — is there when children are forked
    from vsr.cli.main import run
    from vsr.jobs.workers import worker_process

    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker_process._START = "fork"  # what has PyTorch loaded need not be loaded anew, and is under the plan
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    assert run(warm_up) == 0
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(order)
        print(_end_of(child), file=replies, flush=True)


def _become(order: dict) -> None:
    """Be the command."""
    from vsr.cli.main import main

    os.setsid()
    said = os.open(order["log"], os.O_WRONLY | os.O_APPEND)
    for number in (1, 2):
        os.dup2(said, number)
    os.environ["VSR_FAULTS"] = order["plan"]
    ctypes.CDLL(None).take_plan()
    code: object = 0
    try:
        main(order["words"])
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _end_of(child: int) -> int:
    """Wait until a process has ended, and all that it has left behind; what hangs is killed (-9)."""
    code, deadline = -signal.SIGKILL, time.monotonic() + _LIMIT_S
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
        elif not ended:
            if time.monotonic() > deadline:
                print(f"process {child} hangs and is killed", file=sys.stderr)
                for left in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
                    os.kill(int(left), signal.SIGKILL)
            time.sleep(0.002)


if __name__ == "__main__":
    serve(sys.argv[1:])
