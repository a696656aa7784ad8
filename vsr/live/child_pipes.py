"""Starting a child process that is fed through a pipe and answers through another."""

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import vsr
from vsr import offspring
from vsr.media import Child


def _environment() -> Mapping[str, str]:
    """The environment for children, in which those that are Python find this package."""
    paths = [str(Path(vsr.__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return offspring.plain_environment() | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


@dataclass
class PipedChild:
    """A running child and our ends of its two pipes."""

    child: Child
    write_end: int
    """Its standard input."""
    read_end: int
    """Its standard output."""

    def wake(self) -> None:
        """Let a child go on that somebody has stopped, or it could not end by itself. From any thread."""
        if not self.child.has_ended:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child.pid, signal.SIGCONT)

    def close_input(self) -> None:
        """Tell the child that nothing more comes."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def close(self) -> None:
        """Kill the child if it runs, and close both pipes. Harmless twice."""
        self.child.kill()
        self.close_input()
        if self.read_end >= 0:
            with contextlib.suppress(OSError):
                os.close(self.read_end)
            self.read_end = -1


def start(arguments: list[str], *, inherits: Sequence[int] = ()) -> PipedChild:
    """Start a program with both pipes.

    Args:
        arguments: its command line.
        inherits: descriptors of ours that it gets besides, under their numbers.

    Raises:
        SinkError: it cannot be started.
    """
    stdin, write_end = os.pipe()
    read_end, stdout = os.pipe()
    try:
        child = Child(arguments, stdin=stdin, stdout=stdout, environment=_environment(), inherits=inherits)
    except BaseException:
        os.close(write_end)
        os.close(read_end)
        raise
    finally:
        os.close(stdin)
        os.close(stdout)
    return PipedChild(child, write_end, read_end)
