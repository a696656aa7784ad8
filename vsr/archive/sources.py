"""An archive: the files that a folder, a pattern or a list means, and the
tree of results that mirrors theirs."""

import glob
import os
import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vsr.durable import file_id, lies_in
from vsr.errors import ConfigError, SourceError
from vsr.jobs import Job, extension_of, marked_clashes, matching, media_of, walk
from vsr.media import is_image
from vsr.options import AlsoOptions

_FIELDS = {"stem", "name", "ext"}
_ADDRESS = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True)
class Naming:
    """How results are named."""

    out: Path
    """Folder of the results."""
    pattern: str = "{stem}{ext}"
    """{stem} and {name} of the source, without and with its suffix; {ext}: suffix of the result."""
    container: str = "auto"
    """As `EncodeOptions` has it."""
    also: AlsoOptions = field(default_factory=AlsoOptions)
    """Second output of each video."""

    def __post_init__(self) -> None:
        if self.also.also and not self.also.is_ending:
            raise ConfigError(
                f"also {self.also.also} names one file; give an ending for all, such as _view.mp4"
            )
        try:
            fields = {field for _, field, _, _ in string.Formatter().parse(self.pattern) if field is not None}
        except ValueError as error:
            raise ConfigError(f"name {self.pattern!r} is not understood: {error}") from None
        if fields - _FIELDS or not fields & {"stem", "name"} or Path(self.pattern).name != self.pattern:
            raise ConfigError(
                f"name {self.pattern!r} is not understood; text without folders, around {{stem}} or {{name}} of the"
                " source and {ext} of the result, is expected"
            )

    def job(self, path: Path, root: Path) -> Job:
        """Say where the result of a file below `root` goes."""
        image = is_image(path)
        extension = extension_of(path, self.container, is_image=image)
        name = self.pattern.format(stem=path.stem, name=path.name, ext=extension)
        if not name.endswith(extension):
            name += extension
        return Job(path, self.out / path.relative_to(root).parent / name, image, creates_folder=True)


def find_archive(source: str, naming: Naming, *, tell: Callable[[str], None] = lambda _: None) -> list[Job]:
    """List the files that a folder, a pattern such as 'tapes/**/*.avi' or a list (.txt) means, by name.

    A line of a list is a path, as seen from the list; empty ones and those that begin with # say nothing.
    What a list names and is not there is a job that will fail. `tell` is told of folders that cannot be read,
    and of what is left out in them.

    Raises:
        SourceError: there is nothing.
        ConfigError: a list holds an address, or results would lie among the sources.
    """
    path = Path(source)
    if path.is_dir():
        check_apart(path, naming.out)
        root, found = path, list(media_of(walk(path, [naming.out], tell=tell), tell))
    elif path.suffix.lower() == ".txt" and path.is_file():
        root, found = path.parent, list(_listed(path))
    elif path.exists():
        root, found = path.parent, [path]
    else:
        root = _root_of(source)
        found = [path for path in matching(source) if not lies_in(path, naming.out)]
    if not found:
        raise SourceError(
            f"{source} means no video and no picture; a folder, a pattern such as 'tapes/**/*.avi' or a list of paths"
            " in a .txt file is expected"
        )
    root, found = _rooted(root, found)
    jobs = [naming.job(each, root) for each in sorted(set(found))]
    return marked_clashes(jobs, ending=naming.also.also, otherwise=", or give --name '{name}{ext}'")


def check_apart(sources: Path, out: Path) -> None:
    """Raise ConfigError where results would lie among the sources of a folder, and be sources the next time."""
    if file_id(sources) == file_id(out) is not None:
        raise ConfigError(f"output {out} is the folder of the sources; name another one, which may lie in it")


def _listed(path: Path) -> Iterator[Path]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"list {path} cannot be read as UTF-8 text: {error}") from None
    for number, line in enumerate(lines, 1):
        if _ADDRESS.match(line):
            raise ConfigError(
                f"list {path}, line {number}: {line.strip()} is an address; an archive is of files, and `vsr enhance`"
                " takes addresses"
            )
        if line.strip() and not line.startswith("#"):
            yield path.parent / line.strip()


def _root_of(pattern: str) -> Path:
    """The part of a pattern before the first wildcard."""
    parts = Path(pattern).parts
    fixed = next((n for n, part in enumerate(parts) if glob.has_magic(part)), max(0, len(parts) - 1))
    return Path(*parts[:fixed])


def _rooted(root: Path, found: list[Path]) -> tuple[Path, list[Path]]:
    """Return a folder that all lie in, so that what lies under it can be mirrored."""
    if all(each.is_relative_to(root) and ".." not in each.relative_to(root).parts for each in found):
        return root, found
    found = [Path(os.path.abspath(each)) for each in found]
    if all(_lies_in(each, root) for each in found):
        return Path(os.path.abspath(root)), found
    return Path(os.path.commonpath([each.parent for each in found])), found


def _lies_in(path: Path, folder: Path) -> bool:
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))
