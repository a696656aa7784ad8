"""Letting packages be imported that import another one for next to nothing, where that one is missing."""

import importlib.util
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def standing_in(
    missing: Mapping[str, Mapping[str, object]], *, importing: str
) -> Generator[None, None, None]:
    """While the block imports a package, answer for modules that it wants; nothing of them stays behind.

    Args:
        missing: what is asked of each module, by the module's dotted name; all are of one package. Where that is
            installed it is left to itself.
        importing: the package; once it has been imported nobody has to answer.
    """
    if importing in sys.modules or importlib.util.find_spec(next(iter(missing)).partition(".")[0]):
        yield
        return
    made: dict[str, ModuleType] = {}
    for name, contents in missing.items():
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            whole = ".".join(parts[:length])
            made.setdefault(whole, ModuleType(whole))
        vars(made[name]).update(contents)
    sys.modules.update(made)
    try:
        yield
    finally:
        for name in made:
            sys.modules.pop(name, None)
