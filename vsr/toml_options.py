"""TOML tables to frozen dataclasses, strictly: an unknown key or a wrong type
is one line that says what is accepted.

Knows types and names, nothing of cameras.
"""

import dataclasses
import tomllib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from vsr.errors import ConfigError

T = TypeVar("T")

_LARGEST = 1 << 1000
"""Below which whole numbers may stand for others."""

_NAMES = {str: "text in quotes", bool: "true or false", int: "a whole number", float: "a number"}


def read_tables(path: str | Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: there is no such file, or it is no TOML; the line and
            column are named, its content is not.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"config {str(path)!r} cannot be read: {error.strerror}") from None
    except RecursionError:
        raise ConfigError(
            f"config {str(path)!r} is nested too deeply; tables of tables are accepted"
        ) from None
    except ValueError as error:  # broken TOML, or bytes that are no text
        raise ConfigError(f"config {str(path)!r} is not TOML: {error}") from None


def make_options(kind: type[T], table: object, where: str = "") -> T:
    """Make a `kind` of a table whose keys are its fields; keys left out keep their defaults.

    Args:
        kind: a dataclass of text, numbers, Literals, unions of them,
            dataclasses, and tuples of any one of these.
        table: what TOML gave.
        where: name of the table, for errors.

    Raises:
        ConfigError: a key is unknown or missing, a value has the wrong type, or the dataclass refuses it.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} must be a table")
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(cast(Any, kind))}
    values: dict[str, Any] = {}
    for key, value in cast("Mapping[str, object]", table).items():
        if key not in fields:
            raise ConfigError(f"{_join(where, key)} is not known; {', '.join(fields)} are accepted")
        values[key] = _convert(hints[key], value, _join(where, key))
    for name, field in fields.items():
        missing = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if missing and name not in values:
            raise ConfigError(f"{_join(where, name)} is missing")
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}" if where else str(error)) from None


def _convert(hint: Any, value: object, where: str) -> object:
    if dataclasses.is_dataclass(hint):
        return make_options(cast(Any, hint), value, where)
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{where} must be a list in [ ]")
        items = cast("list[object]", value)
        return tuple(
            _convert(get_args(hint)[0], item, _numbered(where, index, item))
            for index, item in enumerate(items)
        )
    choices = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    for choice in choices:
        if get_origin(choice) is Literal:
            if any(value == word and type(value) is type(word) for word in get_args(choice)):
                return value
        elif type(value) is choice:
            return value
        elif choice is float and type(value) is int and abs(value) < _LARGEST:
            return float(value)
    # The value itself may be a password that slipped into the wrong line.
    raise ConfigError(f"{where} has a value of the wrong kind; {_accepted(choices)} is accepted")


def _accepted(choices: tuple[Any, ...]) -> str:
    words: list[str] = []
    for choice in choices:
        words += [repr(w) for w in get_args(choice)] if get_origin(choice) is Literal else [_NAMES[choice]]
    return " or ".join(words)


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _numbered(where: str, index: int, item: object) -> str:
    """Name an item of a list by its own name where it has one."""
    name = cast("Mapping[str, object]", item).get("name") if isinstance(item, Mapping) else None
    return f"{where}.{name if isinstance(name, str) else index + 1}"
