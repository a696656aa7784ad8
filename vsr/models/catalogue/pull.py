"""Installing networks of others: fetched or copied, held against their SHA-256, then renamed into place."""

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from vsr.durable import give_name, sha256_of
from vsr.errors import ModelError
from vsr.models.catalogue.download import download
from vsr.models.catalogue.model_facts import ModelFacts, is_sound


def source_of(entry: ModelFacts, place: str = "") -> str:
    """Folder, file or address that a model comes from; empty where it is only to be had by hand.

    Args:
        entry: what to install.
        place: default is `$VSR_MODELS_MIRROR`, then its own address.
    """
    place = place or os.environ.get("VSR_MODELS_MIRROR", "")
    return f"{place.rstrip('/')}/{entry.file}" if "://" in place else place or entry.address


def pull(
    entry: ModelFacts, *, place: str = "", tell: Callable[[str], None], progress: Callable[[int], None]
) -> Path:
    """Install a model; one that is there and sound is left alone.

    Args:
        entry: what to install.
        place: folder, file or https address to take it from; default is
            `$VSR_MODELS_MIRROR`, then its own address.
        tell: takes a line for the user.
        progress: told how many bytes have come.

    Raises:
        ModelError: it is not to be had, or what came is not what the catalogue says, and has been removed.
    """
    place = source_of(entry, place)
    with _alone(entry.path.parent, tell):
        if is_sound(entry.path, entry.sha256):
            return entry.path
        partial = entry.path.with_name(f".{entry.name}.{entry.sha256[:8]}.partial")
        if partial.is_symlink():
            raise ModelError(f"{partial} is a link, so nothing is written to it; remove it")
        resumed = partial.exists()
        source = _fetch(entry, place, partial, progress)
        if resumed and not is_sound(partial, entry.sha256):
            partial.unlink()
            tell(f"{entry.name}: what was left of an earlier download does not fit; beginning again")
            source = _fetch(entry, place, partial, progress)
        found = sha256_of(partial)
        if found != entry.sha256:
            partial.unlink()
            raise ModelError(
                f"{source} is not {entry.name}: its SHA-256 begins with {found[:16]}, not {entry.sha256[:16]}; removed"
            )
        give_name(partial, entry.path)
    return entry.path


def _fetch(entry: ModelFacts, place: str, partial: Path, progress: Callable[[int], None]) -> str:
    """Get the file; returns where it came from."""
    free = shutil.disk_usage(partial.parent).free
    assert entry.num_bytes is not None
    needed = entry.num_bytes - (partial.stat().st_size if partial.exists() else 0)
    if free < needed:
        raise ModelError(f"{entry.name} needs {needed} bytes more and {partial.parent} has room for {free}")
    if not place:
        raise ModelError(f"{entry.name} has no address of its own: {entry.how}; then --from {entry.file}")
    if "://" not in place:
        return _copy(entry, Path(place), partial, progress)
    download(place, partial, num_bytes=entry.num_bytes, progress=progress)
    return place


def _copy(entry: ModelFacts, place: Path, partial: Path, progress: Callable[[int], None]) -> str:
    names = (place / entry.file, place / entry.path.name) if place.is_dir() else (place,)
    source = next((path for path in names if path.is_file()), None)
    if source is None:
        raise ModelError(
            f"{place} does not hold {entry.file}; a folder with it, the file or an address is expected"
        )
    try:
        shutil.copyfile(source, partial)
    except OSError as error:
        raise ModelError(f"{source} cannot be copied to {partial.parent}: {error.strerror}") from None
    progress(partial.stat().st_size)
    return str(source)


@contextmanager
def _alone(folder: Path, tell: Callable[[str], None]) -> Generator[None, None, None]:
    """Make the folder and hold it, so that two pulls do not write to one file;
    the second waits for the first."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        file = os.fdopen(os.open(folder / ".lock", flags, 0o666), "r+")
    except OSError as error:
        raise ModelError(
            f"{folder} cannot be written: {error.strerror}; $VSR_MODELS names another folder"
        ) from None
    with file:
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            tell("another vsr is pulling models; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
