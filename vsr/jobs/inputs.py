"""From what a user names to pairs of input and output path. Opens files
only to tell pictures from the rest."""

import errno
import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsr.errors import ConfigError, SourceError
from vsr.media import CONTAINERS, PICTURES, is_image
from vsr.options import AlsoOptions

_SUFFIXES = (
    "3g2 3gp asf avi divx dv f4v flv h264 hevc m1v m2t m2ts m2v m4v mkv mov mp4 mpeg mpg mts mxf nut ogm ogv rm"
    " rmvb ts vob webm wmv y4m"
)
VIDEOS = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())
"""Suffixes that count as videos when a folder is searched; a file that is named itself is always tried."""


@dataclass(frozen=True, slots=True)
class Job:
    """One file to enhance."""

    path: Path
    target: Path
    is_image: bool
    creates_folder: bool = False
    """The target's folder was named as a folder, or repeats the input's, and
    is made where it does not exist."""


def find_jobs(
    inputs: Sequence[str],
    *,
    out: str = "",
    suffix: str = "_x2",
    container: str = "auto",
    tell: Callable[[str], None] = lambda _: None,
) -> list[Job]:
    """List the files that `inputs` (files, folders, globs) mean, and where each result goes.

    Without `out` a file's result lies beside it as `NAME_x2.EXT`, a folder's results in a folder `NAME_x2`
    beside it. With `out` naming a file (one input file) it is that file; else it is a folder, in which names
    are kept. `tell` is told of folders that cannot be read.

    Raises:
        SourceError: an input does not exist, or a folder or glob holds nothing that can be enhanced.
        ConfigError: two results would have one name, or a result would overwrite an input.
    """
    found = [_Found(path, root) for text in inputs for path, root in _expand(text, tell)]
    into_file = bool(out) and not _means_folder(out) and len(found) == 1 and found[0].root is None
    if out and not into_file and not _means_folder(out):
        raise ConfigError(f"output {out} names one file, but there are {len(found)} inputs; name a folder")
    jobs = [_job(item, Path(out) if out else None, into_file, suffix, container) for item in found]
    check_names(jobs)
    return jobs


def check_also(jobs: Sequence[Job], also: AlsoOptions) -> None:
    """Raise ConfigError where one second output is named for several videos."""
    num_videos = sum(not job.is_image for job in jobs)
    if also.also and not also.is_ending and num_videos > 1:
        raise ConfigError(
            f"also {also.also} names one file, but there are {num_videos} videos; give an ending such as _view.mp4"
        )


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    root: Path | None
    """The folder it was found in, whose structure the results repeat."""


def _expand(text: str, tell: Callable[[str], None]) -> Iterator[tuple[Path, Path | None]]:
    path = Path(text)
    if path.is_dir():
        inside = sorted(walk(path, tell=tell))
        if not inside:
            raise SourceError(f"folder {text} holds no video and no picture ({', '.join(sorted(PICTURES))})")
        yield from ((p, path) for p in inside)
    elif path.exists():
        yield path, None
    else:
        matches = sorted(Path(match) for match in glob.glob(text, recursive=True))
        files = [match for match in matches if match.is_file()]
        if not files:
            raise SourceError(
                f"{text} does not exist; a file, a folder or a pattern such as 'tapes/*.avi' is expected"
            )
        yield from ((match, None) for match in files)


def walk(
    root: Path, leave_out: Iterable[Path] = (), *, tell: Callable[[str], None] = lambda _: None
) -> Iterator[Path]:
    """Yield the media files below a folder, each folder's own first, by name.

    Hidden files and folders (names that begin with a dot), work folders (`NAME.vsr`), results that failed
    their check and what is to be left out are skipped. `tell` is told of folders that cannot be read.
    """
    left_out = {str(path) for path in leave_out}

    def unreadable(error: OSError) -> None:
        if error.errno != errno.ENOENT:  # gone meanwhile
            tell(
                f"note: folder {error.filename} cannot be read ({error.strerror}), what is in it is left out"
            )

    def is_wanted(folder: Path) -> bool:
        hidden_or_ours = folder.name.startswith(".") or folder.name.endswith(".vsr")
        return not hidden_or_ours and str(folder.absolute()) not in left_out

    for folder, folders, files in os.walk(root, onerror=unreadable):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if is_wanted(here / name))
        yield from (path for name in sorted(files) if _is_media(path := here / name) and path.is_file())


def _is_media(path: Path) -> bool:
    name, folder = path.name, path.parent.name
    ours = ".unverified." in name or folder.endswith(".vsr")
    return not name.startswith(".") and not ours and path.suffix.lower() in VIDEOS | set(PICTURES)


def _means_folder(out: str) -> bool:
    return out.endswith(("/", "\\")) or Path(out).is_dir() or not Path(out).suffix


def _job(item: _Found, out: Path | None, into_file: bool, suffix: str, container: str) -> Job:
    image = is_image(item.path)
    if out is not None and into_file:
        return Job(item.path, out, image)
    extension = extension_of(item.path, container, is_image=image)
    if out is None and item.root is None:
        return Job(item.path, item.path.with_name(f"{item.path.stem}{suffix}{extension}"), image)
    if out is None:
        assert item.root is not None
        out = item.root.resolve().with_name(f"{item.root.resolve().name}{suffix}")
    inside = item.path.relative_to(item.root).parent if item.root else Path()
    return Job(item.path, out / inside / f"{item.path.stem}{extension}", image, creates_folder=True)


def extension_of(path: Path, container: str, *, is_image: bool) -> str:
    """Return the suffix of a file's result: its own where such files are written."""
    if is_image:
        return path.suffix if path.suffix.lower() in PICTURES else ".png"
    if container != "auto":
        return f".{container}"
    return path.suffix if path.suffix.lower() in CONTAINERS else ".mkv"


def check_names(jobs: Sequence[Job]) -> None:
    """Make sure that no result takes the place of another one or of an input.

    Raises:
        ConfigError: one would.
    """
    sources = {job.path.resolve() for job in jobs}
    taken: dict[Path, Path] = {}
    for job in jobs:
        target = job.target.resolve()
        if target in sources:
            raise ConfigError(f"{job.target} is an input itself; choose another output with -o")
        if target in taken:
            raise ConfigError(
                f"{job.path} and {taken[target]} would both become {job.target}; enhance them separately"
            )
        taken[target] = job.path
