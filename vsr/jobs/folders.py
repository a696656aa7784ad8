"""What of a folder counts as a video or a picture: found by its ending, and the rest counted by kind."""

import errno
import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from vsr.durable import file_id, lies_in
from vsr.media import STILLS

_VIDEOS = (
    "264 265 266 26l 3g2 3gp 3gp2 3gpp amv asf av1 avc avi bik bmv cdxl dav dif divx dv dvr-ms evo f4p f4v fli flv"
    " gxf h261 h263 h264 h265 h266 hevc insv ipu ivf ivr kux lrv lvf m1v m2p m2t m2ts m2v m4v mj2 mjpeg mjpg"
    " mk3d mkv mod mov mp4 mp4v mpe mpeg mpg mpo mts mxf mxg nsv nut obu ogm ogv ogx pva qt rm rmvb roq smk tod tp trp"
    " ts ty usm vc1 vivo vob vro vvc webm wm wmv wtv xmv y4m"
)
MEDIA = STILLS | frozenset(f".{ending}" for ending in _VIDEOS.split())
"""Endings that count when a folder is searched: what FFmpeg or the picture codecs read. No sound, text or raw
photograph is among them; a file that is named itself is always tried."""

COPIES, RECORD_LOG = "source", "log.jsonl"
"""In the folder of a record, which `evidence/` writes: copies of what was enhanced, and the log."""
_BEGUN = b'{"line": 1, "step": "begun"'


def walk(
    root: Path, leave_out: Iterable[Path] = (), *, tell: Callable[[str], None] = lambda _: None
) -> Iterator[Path]:
    """Yield the files below a folder, each folder's own first, by name.

    Hidden files and folders (names that begin with a dot), work folders (`NAME.vsr`), results that failed
    their check, copies of sources in records, and folders that are to be left out are skipped, by whatever path or link
    one leads to these.
    `tell` is told of folders that cannot be read, and of links to folders, which are not followed.
    """
    leave_out = list(leave_out)
    left_out = {file_id(path) for path in leave_out} - {None}

    def unreadable(error: OSError) -> None:
        if error.errno != errno.ENOENT:  # gone meanwhile
            tell(
                f"note: folder {error.filename} cannot be read ({error.strerror}), what is in it is left out"
            )

    def is_wanted(folder: Path) -> bool:
        hidden_or_ours = folder.name.startswith(".") or folder.name.endswith(".vsr")
        return not hidden_or_ours and not _holds_copies(folder) and file_id(folder) not in left_out

    def leads_out(path: Path) -> bool:
        return path.is_symlink() and any(lies_in(path, folder) for folder in leave_out)

    for folder, folders, files in os.walk(root, onerror=unreadable):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if is_wanted(here / name))
        for name in folders:
            if (here / name).is_symlink():  # which may lead in a circle
                tell(
                    f"note: folder {here / name} is a link, what is in it is left out; name it to have it done"
                )
        if not here.name.endswith(".vsr"):
            paths = (here / name for name in sorted(files) if not _is_hidden(name))
            yield from (path for path in paths if not leads_out(path))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or ".unverified." in name


def matching(pattern: str) -> list[Path]:
    """List the files that a pattern means, by name; copies of sources in records only where it names their folder."""
    named = COPIES in Path(pattern).parts
    paths = (Path(match) for match in glob.glob(pattern, recursive=True))
    return sorted(path for path in paths if path.is_file() and (named or not _holds_copies(path.parent)))


def _holds_copies(folder: Path) -> bool:
    """Whether a record has copied its source into a folder."""
    log = folder.parent / RECORD_LOG
    if folder.name != COPIES or not log.is_file():
        return False
    try:
        with log.open("rb") as file:
            return file.read(len(_BEGUN)) == _BEGUN
    except OSError:
        return False


def is_media(path: Path) -> bool:
    """Whether a file that was found in a folder counts, by its ending."""
    return is_known_ending(path.suffix) and path.is_file()


def is_known_ending(ending: str) -> bool:
    """Whether `ending`, such as `.mp4`, is one of a video's or a picture's."""
    return ending.lower() in MEDIA


def media_of(paths: Iterable[Path], tell: Callable[[str], None]) -> Iterator[Path]:
    """Yield those that count; the others are told of in a line, by kind."""
    others = Counter[str]()
    for path in paths:
        if is_media(path):
            yield path
        else:
            others[(path.suffix.lower() or "without an ending") if path.is_file() else "no file"] += 1
    if others:
        counts = ", ".join(f"{number} {kind}" for kind, number in others.most_common())
        tell(f"note: no videos or pictures by their endings, and left out: {counts}")
