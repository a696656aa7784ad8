"""Options of a job as a client gives them: the keys of an option file, checked by the same dataclasses."""

import ast
import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from vsr.engine import num_cores
from vsr.errors import ConfigError
from vsr.evidence import EvidenceOptions, refuse_painting
from vsr.jobs import Plan
from vsr.models import find_model
from vsr.options import EnhanceOptions
from vsr.toml_options import make_options

_REFUSED = {
    "also": "make a second job of the same upload",
    "as_video": "upload a video",
    "fps": "upload a video",
    "cluster": "this machine does the work; workers is accepted",
    "restart": "make a new job",
    **dict.fromkeys(
        ("evidence", "case", "allow_generative"),
        "a picture is answered alone, a record needs an order by addresses, as application/json",
    ),
}
"""Keys of option files that mean nothing here, or would reach past this machine, with what to do instead."""


@dataclass(frozen=True)
class RecordWishes:
    """What is wanted of a job's record."""

    evidence: bool = False
    """Keep a record of all that is done, to be taken home with the result: hashes of the source and of every frame, a
    log of each step, a page for people."""
    case: str = ""
    """Text that the record names: a case number, who asked, who is at work."""
    allow_generative: bool = False
    """Let models paint what is not in the source, or that nothing is known of, in a job with a record, which says
    so."""

    def __post_init__(self) -> None:
        self.at(Path())

    def at(self, folder: Path, sign: str = "") -> EvidenceOptions:
        """The same of an archive whose records lie in a folder, and are signed by what the server names."""
        return EvidenceOptions(
            evidence=str(folder) if self.evidence else "",
            case=self.case,
            sign=sign if self.evidence else "",
            allow_generative=self.allow_generative,
        )

    @property
    def previewed(self) -> list[str]:
        """What is to be said where only a part is looked at."""
        return ["the job keeps a record of evidence; a preview keeps none"] if self.evidence else []

    def check(self, plan: Plan) -> None:
        """Refuse what a job of this plan would be refused for.

        Raises:
            ConfigError: a model may paint what is not in the source, and that is not allowed.
        """
        if self.evidence:
            refuse_painting([model.spec for model in plan.models], allowed=self.allow_generative)


@cache
def _of_record() -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(RecordWishes))


@cache
def _groups() -> dict[str, type[Any]]:
    """The classes that options are parted into, by the field of `EnhanceOptions`."""
    return get_type_hints(EnhanceOptions)


@cache
def _group_of() -> dict[str, str]:
    """In which group each key is."""
    return {field.name: name for name, kind in _groups().items() for field in dataclasses.fields(kind)}


@cache
def accepted_keys() -> tuple[str, ...]:
    """What a client may say of how a file is enhanced."""
    return tuple(key for key in _group_of() if key not in _REFUSED and not key.startswith("also_"))


def options_of(table: Mapping[str, Any], over: EnhanceOptions = EnhanceOptions()) -> EnhanceOptions:
    """Make options of a client's keys; what it does not say is as in `over`.

    Raises:
        ConfigError: a key is not known or not accepted, a value is of the wrong kind or out of range, or a model is
            none of those that have a name here.
    """
    groups: dict[str, dict[str, Any]] = {}
    for key, value in table.items():
        if key not in accepted_keys():
            why = _REFUSED.get("also" if key.startswith("also_") else key)
            accepted = why or f"{', '.join(accepted_keys())} are accepted"
            raise ConfigError(f"option {key[:40]!r} is not {'accepted here' if why else 'known'}; {accepted}")
        given = [value] if key == "model" and isinstance(value, str) else value
        groups.setdefault(_group_of()[key], {})[key] = given
    options = over
    for name, given in groups.items():
        said = make_options(_groups()[name], given)
        group = replace(getattr(over, name), **{key: getattr(said, key) for key in given})
        options = replace(options, **{name: group})
    for name in options.models.model if "model" in table else ():
        if find_model(name) is None:
            raise ConfigError(f"model {name[:60]!r} is not known; a name that `vsr models` lists is accepted")
    if options.job.workers != "auto" and options.job.workers > num_cores():
        raise ConfigError(f"workers {options.job.workers} is out of range; 1 to {num_cores()} is accepted")
    return options


def job_wishes(
    table: Mapping[str, Any], over: EnhanceOptions = EnhanceOptions()
) -> tuple[EnhanceOptions, RecordWishes]:
    """Make of a client's keys the options of a job, over those of `over`, and what is wanted of its record.

    Raises:
        ConfigError: as `options_of`.
    """
    of_record = {key: value for key, value in table.items() if key in _of_record()}
    rest = {key: value for key, value in table.items() if key not in of_record}
    return options_of(rest, over), make_options(RecordWishes, of_record)


@cache
def options_schema() -> dict[str, Any]:
    """The keys of a job as JSON Schema, from the dataclasses and what they say of their fields."""
    properties: dict[str, Any] = {}
    accepted = (*accepted_keys(), *_of_record())
    for kind in (*_groups().values(), RecordWishes):
        hints, told = get_type_hints(kind), _told(kind)
        for field in dataclasses.fields(kind):
            if field.name in accepted:
                default = list(field.default) if isinstance(field.default, tuple) else field.default
                properties[field.name] = _shape(hints[field.name]) | {
                    "default": default,
                    "description": told.get(field.name, ""),
                }
    return {"type": "object", "additionalProperties": False, "properties": properties}


_KINDS: dict[Any, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}


def _shape(hint: Any) -> dict[str, Any]:
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _shape(get_args(hint)[0])}
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    if hint in _KINDS:
        return {"type": _KINDS[hint]}
    return {"anyOf": [_shape(choice) for choice in get_args(hint)]}


def _told(kind: Callable[..., Any]) -> dict[str, str]:
    """The line below each field of a dataclass."""
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)
    told: dict[str, str] = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            assert isinstance(field.target, ast.Name)
            told[field.target.id] = " ".join(str(text.value.value).split())
    return told
