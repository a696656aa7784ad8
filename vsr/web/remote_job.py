"""A request that names addresses: the input is brought, enhanced, verified, and put where the output shall be."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from vsr.errors import ConfigError, redact
from vsr.evidence import EvidenceOptions
from vsr.jobs import Job, Record, extension_of
from vsr.media import is_image
from vsr.options import EnhanceOptions
from vsr.toml_options import make_options
from vsr.web.asked_options import RecordWishes, job_wishes
from vsr.web.data_folder import known_ending
from vsr.web.line import Line, Patience
from vsr.web.remote_files import Terms, check_remote, fetch, hand_over, name_at
from vsr.web.results import zip_record


@dataclass(frozen=True, slots=True)
class RemoteJob:
    """Whence and whither."""

    input: str
    """Address of a video or picture: s3, or https as it is signed for GET."""
    output: str
    """Address of the result: s3, or https as it is signed for PUT. Its ending says which container is written."""
    record: str = ""
    """Address of the record, a ZIP, where options say `evidence`; beside an output in S3 it is OUTPUT.evidence.zip."""

    def of(self, wishes: RecordWishes) -> "RemoteJob":
        """The same with an address for the record, if one is wanted.

        Raises:
            ConfigError: there is none, or one and no record.
        """
        if self.record and not wishes.evidence:
            raise ConfigError('record is where evidence goes; say "evidence": true among the options')
        if self.record or not wishes.evidence:
            return self
        if not self.output.startswith("s3://"):
            raise ConfigError(
                "evidence needs an address of its own; name one that is signed for PUT as record, beside output"
            )
        return replace(self, record=f"{self.output}.evidence.zip")


def read_order(body: bytes, options: EnhanceOptions) -> tuple[RemoteJob, EnhanceOptions, RecordWishes]:
    """What a client's JSON asks for: addresses, options over the server's own, and what is wanted of a record.

    Raises:
        ConfigError: it is no such JSON.
    """
    try:
        table: Any = json.loads(body)
    except ValueError:
        table = None
    wishes = table.pop("options", {}) if isinstance(table, dict) else None
    if not isinstance(wishes, Mapping):
        raise ConfigError('JSON such as {"input": "s3://…", "output": "s3://…", "options": {…}} is accepted')
    order = make_options(RemoteJob, table)
    asked, recorded = job_wishes(cast("Mapping[str, Any]", wishes), options)
    return order.of(recorded), asked, recorded


def do_remote(
    order: RemoteJob,
    options: EnhanceOptions,
    recorded: Callable[[Path], EvidenceOptions],
    lines: Mapping[bool, Line],
    terms: Terms,
    patience: Patience,
) -> Record:
    """Do it. Returns where the result comes from. The record is put first: no result is there without its own.

    Args:
        order: what is asked for.
        options: how.
        recorded: what is wanted of a record that lies in a folder.
        lines: who enhances pictures (True), who videos.
        terms: of bringing and putting.
        patience: for all of it.

    Raises:
        VsrError, ProblemError: it cannot be done, or takes too long; then no result is put.
    """
    named = {"source": order.input, "result": order.output}
    named |= {"evidence": order.record} if order.record else {}
    for address in named.values():
        check_remote(address, terms)
    with tempfile.TemporaryDirectory(prefix="vsr-") as folder:
        source = Path(folder) / f"input{known_ending(name_at(order.input))}"
        fetch(order.input, source, terms)
        image, container = is_image(source), options.encode.container
        ending = known_ending(name_at(order.output)) if container == "auto" or image else ""
        target = Path(folder) / f"output{ending or extension_of(source, container, is_image=image)}"
        made = lines[image].enhance(Job(source, target, image), options, patience, recorded(Path(folder)))
        if order.record:
            made["evidence"]["folder"] = _put_record(Path(made["evidence"]["folder"]), order.record, terms)
        hand_over(target, order.output, terms)
    return made | {part: {**made[part], "path": redact(at).partition("?")[0]} for part, at in named.items()}


def _put_record(folder: Path, address: str, terms: Terms) -> str:
    """Put a record where it shall be; returns what its folder is called in the ZIP."""
    packed = folder.with_name("record.zip")
    zip_record(folder, packed)
    hand_over(packed, address, terms)
    return folder.name
