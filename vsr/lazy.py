"""What a package exports, imported when it is first asked for (PEP 562): its face costs nothing to import."""

import ast
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pkgutil import get_data
from sys import modules


def lazy_exports(package: str) -> Callable[[str], object]:
    """Make the `__getattr__` of a package that names its exports once: as imports under `TYPE_CHECKING`.

    Type checkers take them from there, and so do we: the text of its `__init__` is parsed when it is first asked for
    a name (below 1 ms).

    Args:
        package: its `__name__`.
    """

    @cache
    def place_of() -> dict[str, str]:
        nodes = ast.walk(ast.parse(get_data(package, "__init__.py") or b""))
        imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
        return {alias.name: str(node.module) for node in imports for alias in node.names}

    def __getattr__(name: str) -> object:  # noqa: N807 — becomes the module's own
        if name not in place_of():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(place_of()[name]), name)
        setattr(modules[package], name, value)
        return value

    return __getattr__
