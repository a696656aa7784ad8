"""`vsr watch`: a folder, and whatever is put into it."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vsr.archive import Archive, ArchiveOptions, FolderWatch, Naming, WatchOptions
from vsr.cli.batch import out_folder
from vsr.cli.batch_view import ArchiveView
from vsr.cli.console import say
from vsr.cli.fetch_models import FetchFlags, fetch_named
from vsr.cli.flags import EnhanceFlags, Flat
from vsr.cli.signals import terminable
from vsr.errors import SourceError
from vsr.evidence import EvidenceOptions


@dataclass(frozen=True)
class WatchFlags:
    """How the command behaves."""

    out: Annotated[str, Parameter(name=["--out", "-o"])] = ""
    """Folder of the results, which mirrors the watched one's tree."""
    config: str = ""
    """TOML file of options; flags win over it."""
    quiet: bool = False
    """Print errors only."""
    debug: bool = False
    """Show a traceback with an error; as a flag alone, not in a config."""


def watch_command(
    folder: Path,
    /,
    *,
    watch: Annotated[WatchOptions, Flat] = WatchOptions(),
    archive: Annotated[ArchiveOptions, Flat] = ArchiveOptions(),
    run: Annotated[WatchFlags, Flat] = WatchFlags(),
    flags: Annotated[EnhanceFlags, Flat] = EnhanceFlags(),
    recorded: Annotated[EvidenceOptions, Flat] = EvidenceOptions(),
    fetch: Annotated[FetchFlags, Flat] = FetchFlags(),
) -> int:
    """Enhance what is put into a folder, until SIGTERM or Ctrl-C; the same command goes on where it was.

    What fails is moved to `failed/` inside of the folder, with the reason in a text file
    beside it; put it back to have it tried again.

    Parameters
    ----------
    folder
        Folder to watch, with all folders in it.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder} is no folder; name one that exists")
    options = flags.options
    fetch_named(options.models.model, fetch, quiet=run.quiet)
    naming = Naming(out_folder(run.out), archive.name, options.encode.container, options.also)
    with (
        closing(
            Archive(naming.out, options, archive, recorded=recorded, debug=run.debug, tell=say)
        ) as opened,
        terminable() as terminated,
    ):
        say(f"watching {folder}", quiet=run.quiet)
        try:
            _show(FolderWatch(folder, opened, naming, watch, say), ArchiveView(None, quiet=run.quiet))
        except KeyboardInterrupt:
            opened.write_manifest()
            if not terminated:
                raise KeyboardInterrupt("the same command goes on") from None
    return 0


def _show(watched: FolderWatch, view: ArchiveView) -> None:
    with view.drawn(), closing(watched.run()) as messages:
        for message in messages:
            view.show(message)
