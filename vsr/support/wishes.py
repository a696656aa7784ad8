"""What a user wants of support beside a result, one word or name after the other: `map.mkv report.json full text`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vsr.errors import ConfigError
from vsr.support.support_files import SupportPaths
from vsr.support.whole_stream import SupportTask

_ASK_AGAIN, _READ = "full", "text"


@dataclass(frozen=True, slots=True)
class SupportWishes:
    """Told apart."""

    names: Sequence[str]
    """Of files, or endings such as `_map.png` that take the place of a result's own."""
    full: bool
    """Ask the networks again, and see what other frames confirm."""
    text: bool = False
    """Read text in both."""
    overwrite: bool = False
    """Files that are there are replaced."""
    quiet: bool = False
    """Nothing is said of it."""

    @classmethod
    def parse(
        cls, words: Sequence[str], *, num_results: int, overwrite: bool = False, quiet: bool = False
    ) -> Self:
        """Tell names from words.

        Raises:
            ConfigError: there is no name, one that means no kind of file, or one file for several results.
        """
        names = [word for word in words if word not in (_ASK_AGAIN, _READ)]
        if words and not names:
            raise ConfigError("support: name a file for it, too, such as report.json, map.png or map.mkv")
        SupportPaths.of(names)
        if num_results > 1 and (whole := [name for name in names if not _is_ending(name)]):
            raise ConfigError(
                f"support {whole[0]} names one file, but there are {num_results} results; "
                "give an ending such as _map.png"
            )
        return cls(names, _ASK_AGAIN in words, _READ in words, overwrite, quiet)

    def task(self, result: Path) -> SupportTask:
        """What is wanted of a result."""
        paths = [f"{result.with_suffix('')}{name}" if _is_ending(name) else name for name in self.names]
        return SupportTask(SupportPaths.of(paths), over_time=self.full, text=self.text)


def _is_ending(name: str) -> bool:
    return name.startswith(("_", ".")) and "/" not in name and "\\" not in name
