"""Somebody else's program on the same clip, given as a command line."""

import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from vsr.errors import ConfigError, VsrError, redact

_LAST_LINES = 3
"""Of what a command that failed has said."""


@dataclass(frozen=True, slots=True)
class OtherProgram:
    """A command line; `{input}` and `{output}` in it, and `{size}`
    (WIDTHxHEIGHT of the output), are filled in.

    It is split as a shell would, and run without one.
    """

    command: str

    def __post_init__(self) -> None:
        missing = [name for name in ("{input}", "{output}") if name not in self.command]
        if missing:
            raise ConfigError(
                f"against: {' and '.join(missing)} is missing; write it where the file's name goes"
            )
        self._words()

    def _words(self) -> list[str]:
        try:
            return shlex.split(self.command)
        except ValueError as error:
            raise ConfigError(f"against: {self.command!r} cannot be split into words: {error}") from None

    def run(self, clip: Path, output: Path, size: tuple[int, int]) -> None:
        """Run it to its end.

        Raises:
            VsrError: it cannot be started, fails, or writes nothing.
        """
        names = {"{input}": str(clip), "{output}": str(output), "{size}": f"{size[1]}x{size[0]}"}
        words = self._words()
        for name, value in names.items():
            words = [word.replace(name, value) for word in words]
        output.unlink(missing_ok=True)
        with tempfile.TemporaryFile() as log:  # a pipe that nobody reads would stop it
            try:
                code = subprocess.run(
                    words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, check=False
                ).returncode
            except OSError as error:
                raise ConfigError(f"against: {words[0]!r} cannot be started: {error.strerror}") from None
            log.seek(0)
            said = log.read().decode("utf-8", "replace")
        if code != 0:
            last = " | ".join([line.strip() for line in said.splitlines() if line.strip()][-_LAST_LINES:])
            raise VsrError(
                redact(f"against: {words[0]} ended with exit code {code}: {last or 'it said nothing'}")
            )
        if not output.exists():
            raise VsrError(
                f"against: {words[0]} ended well and wrote no {output.name}; write {{output}} as its output"
            )
