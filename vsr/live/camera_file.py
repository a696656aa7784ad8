"""A file of cameras read and checked: everything that can be known before start."""

import re
from pathlib import Path
from typing import Any, cast

from vsr.errors import ConfigError
from vsr.live.address import exposed
from vsr.live.options import CameraOptions, LiveOptions, secret_places
from vsr.toml_options import make_options, read_tables

_PLACE = re.compile(r"\{\w*\}")


def read_options(path: str | Path) -> LiveOptions:
    """Read a file of cameras as `configs/cameras.toml`. A `[defaults]` table holds what all cameras share.

    Raises:
        ConfigError: a key is unknown or missing, a value cannot be used, credentials cannot be read.
    """
    tables = read_tables(path)
    defaults = tables.pop("defaults", {})
    try:
        if not isinstance(defaults, dict):
            raise ConfigError("defaults must be a table")
        for key in ("name", "url"):
            if key in defaults:
                raise ConfigError(f"defaults.{key} makes no sense; every camera needs its own")
        # Checked by itself too, or a mistake in it would be told of a camera.
        make_options(
            CameraOptions, {"name": "defaults", "url": "rtsp://host", **cast(Any, defaults)}, "defaults"
        )
        cameras = tables.get("cameras", [])
        if isinstance(cameras, list):
            tables["cameras"] = [
                _merged(cast(Any, defaults), camera) for camera in cast("list[object]", cameras)
            ]
        options = make_options(LiveOptions, tables)
        for camera in options.cameras:
            check_camera(camera)
        if options.mqtt.host:
            _ = options.mqtt.address
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return options


def exposed_files(options: LiveOptions, path: str | Path = "") -> list[str]:
    """Files that hold credentials and that others may read: `path`, where the options come from, among them."""
    secret = secret_places(options)
    files = [each.credentials_file for each in secret if each.credentials_file]
    if path and any(
        each.address.secrets and not each.credentials_file and not each.credentials_env for each in secret
    ):
        files.append(str(path))
    return [file for file in dict.fromkeys(files) if exposed(file)]


def _merged(defaults: dict[str, object], camera: object) -> object:
    """Lay a camera's table over the defaults and put its name into the targets."""
    if not isinstance(camera, dict):
        return camera
    merged = {**defaults, **cast("dict[str, object]", camera)}
    return _with_names(merged, "")


def _with_names(table: dict[str, object], camera: str) -> dict[str, object]:
    """Put the name of a camera or of a `camera`'s region into its targets, and into those of its regions."""
    name, outputs, regions = (table.get(key) for key in ("name", "outputs", "regions"))
    if not isinstance(name, str):
        return table
    named, full = dict(table), camera + name
    if isinstance(outputs, list):
        named["outputs"] = [_named(output, full) for output in cast("list[object]", outputs)]
    if isinstance(regions, list):
        named["regions"] = [
            _with_names(cast("dict[str, object]", region), f"{full}-") if isinstance(region, dict) else region
            for region in cast("list[object]", regions)
        ]
    return named


def _named(output: object, name: str) -> object:
    table = cast("dict[str, object]", output) if isinstance(output, dict) else {}
    target = table.get("target")
    if not isinstance(target, str):
        return output
    named = target.replace("{name}", name)
    if unknown := _PLACE.search(named):
        raise ConfigError(
            f"{unknown[0]} in the target of an output stands for nothing; {{name}}, the camera's name, is accepted"
        )
    return {**table, "target": named}


def check_camera(camera: CameraOptions) -> None:
    """Read the credentials of a camera and of its outputs once; see whether its options go together.

    Raises:
        ConfigError: they do not, or credentials cannot be read.
    """
    try:
        _ = camera.address, [output.address for _, outputs in camera.streams for output in outputs]
        if camera.record_original and not camera.recordings:
            raise ConfigError(
                "record_original needs an output of kind 'record', beside which the original goes"
            )
        if camera.evidence and len(camera.recordings) != 1:
            raise ConfigError(
                f"evidence needs one output of kind 'record', whose files it is of; there are {len(camera.recordings)}"
            )
    except ConfigError as error:
        raise ConfigError(f"cameras.{camera.name}: {error}") from None
