"""What a package exports, imported when it is first asked for (PEP 562): its face costs nothing to import."""

from collections.abc import Callable, Mapping
from importlib import import_module
from sys import modules


def lazy_exports(package: str, places: Mapping[str, str]) -> Callable[[str], object]:
    """Make a package's `__getattr__`. Beside it the same names stand in `__all__` and under `TYPE_CHECKING`.

    Args:
        package: its `__name__`.
        places: the names that each of its modules gives, with blanks between them: `{"spec": "Model Network"}`.
    """
    place_of = {name: f"{package}.{place}" for place, names in places.items() for name in names.split()}

    def __getattr__(name: str) -> object:  # noqa: N807 — becomes the module's own
        if name not in place_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(place_of[name]), name)
        setattr(modules[package], name, value)
        return value

    return __getattr__
