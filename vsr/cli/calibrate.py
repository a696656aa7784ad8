"""`vsr calibrate`: prepare checkpoints for int8, or find out what support is worth."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vsr.cli.console import say, write_result
from vsr.errors import ConfigError
from vsr.support import calibrate_support, path_of_tables, with_tables_kept, written
from vsr.training import calibrate_checkpoint, find_pictures


def calibrate_command(
    models: Annotated[tuple[str, ...], Parameter(show_default=False)],
    /,
    *,
    data: tuple[str, ...],
    support: bool = False,
    quick: bool = False,
    quiet: bool = False,
    debug: bool = False,
) -> int:
    """Prepare networks of our own for --precision int8, as `vsr train` does by itself; or calibrate maps of support.

    Parameters
    ----------
    models
        .safetensors files of plain networks or ones on planes, which are replaced; with --support names of models.
    data
        Folders of pictures of the kind that the network is made for.
    support
        Write NAME.support.json beside the weights instead: what a map of support is worth that is drawn of a result.
        Of several models also any.support.json, for results whose model is not known.
    quick
        With --support: without asking the networks again, in a ninth of the time; tables of --full that are there
        stay.
    quiet
        Print errors only.
    """
    if not models:
        raise ConfigError("nothing to calibrate; name a checkpoint, or with --support a model")
    if support:
        tell = _nothing if quiet else say
        for made in calibrate_support(models, find_pictures(data), full=not quick, tell=tell):
            path = path_of_tables(made.model)
            write_result(path, written(with_tables_kept(made, path) if quick else made))
            say(f"{path} is written", quiet=quiet)
        return 0
    for each in models:
        calibrate_checkpoint(Path(each), data)
        say(f"{each}: ready for --precision int8", quiet=quiet)
    return 0


def _nothing(_line: str) -> None:
    return
