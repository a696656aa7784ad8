"""A file that is there whole, or as it was before."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from vsr.durable.file_names import give_name
from vsr.durable.work_folders import WorkFolder, work_folder


@contextmanager
def whole(path: Path, *, synced: bool = True, replace: bool = True) -> Generator[Path]:
    """Give a name to write to; the file takes its own when the block ends well, else nothing is left.

    Whoever has moved what lies there himself may: then nothing is renamed.

    Args:
        path: where the file is to be; what was there before stays until the new one is whole.
        synced: wait until its bytes and its name are on the disk.
        replace: whether what bears the name by then may lose it.

    Raises:
        FileExistsError: it may not.
        OSError: it cannot be written.
        SinkError: where it is to be made lies something of others, or another process makes it.
    """
    with WorkFolder(work_folder(path)) as work:
        part = work.fresh("whole")
        yield part
        if part.exists():
            if synced:
                work.promise(part)
            give_name(part, path, replace=replace, synced=synced)


def write_whole(path: Path, content: str | bytes, *, synced: bool = True, replace: bool = True) -> None:
    """Write a text (UTF-8) or bytes with `whole`, whose errors it raises.

    What of a file's name is no text is spelled out, as JSON does it.
    """
    with whole(path, synced=synced, replace=replace) as part, part.open("xb") as file:
        file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
