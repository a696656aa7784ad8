"""A request that names addresses: the input is brought, enhanced, verified, and put where the output shall be."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from vsr.errors import ConfigError
from vsr.jobs import Job, Record, extension_of
from vsr.media import is_image
from vsr.options import EnhanceOptions
from vsr.toml_options import make_options
from vsr.web.asked_options import options_of
from vsr.web.data_folder import known_ending
from vsr.web.line import Line, Patience
from vsr.web.outgoing import plain_address
from vsr.web.remote_files import Terms, check_remote, fetch, hand_over, name_at


@dataclass(frozen=True, slots=True)
class RemoteJob:
    """Whence and whither."""

    input: str
    """Address of a video or picture: s3, or https as it is signed for GET."""
    output: str
    """Address of the result: s3, or https as it is signed for PUT. Its ending says which container is written."""


def read_order(body: bytes, options: EnhanceOptions) -> tuple[RemoteJob, EnhanceOptions]:
    """What a client's JSON asks for: addresses, and options over the server's own.

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
    return make_options(RemoteJob, table), options_of(cast("Mapping[str, Any]", wishes), options)


def do_remote(
    order: RemoteJob, options: EnhanceOptions, lines: Mapping[bool, Line], terms: Terms, patience: Patience
) -> Record:
    """Do it. Returns where the result comes from.

    Args:
        order: what is asked for.
        options: how.
        lines: who enhances pictures (True), who videos.
        terms: of bringing and putting.
        patience: for all of it.

    Raises:
        VsrError, ProblemError: it cannot be done, or takes too long; then nothing is put.
    """
    for address in (order.input, order.output):
        check_remote(address, terms)
    with tempfile.TemporaryDirectory(prefix="vsr-") as folder:
        source = Path(folder) / f"input{known_ending(name_at(order.input))}"
        fetch(order.input, source, terms)
        image, container = is_image(source), options.encode.container
        ending = known_ending(name_at(order.output)) if container == "auto" or image else ""
        target = Path(folder) / f"output{ending or extension_of(source, container, is_image=image)}"
        record = lines[image].enhance(Job(source, target, image), options, patience)
        hand_over(target, order.output, terms)
    named = {"source": order.input, "result": order.output}
    return record | {part: {**record[part], "path": plain_address(at)} for part, at in named.items()}
