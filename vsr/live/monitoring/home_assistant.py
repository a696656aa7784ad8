"""What Home Assistant is told of a camera, so that it appears there by itself: MQTT discovery of a device.

https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

import re
from typing import Any, get_args

from vsr.live.cameras.picture_watch import PictureState
from vsr.live.cameras.status import CameraState

_DIAGNOSTIC = {"entity_category": "diagnostic"}
_MEASURED = {"platform": "sensor", "state_class": "measurement"}
_WORD = {"platform": "sensor", "device_class": "enum"}

_ENTITIES: dict[str, dict[str, Any]] = {
    "playing": {
        "platform": "binary_sensor",
        "name": "Playing",
        "device_class": "connectivity",
        "value_template": "{{ 'ON' if value_json.state == 'playing' else 'OFF' }}",
    },
    "problem": {
        "platform": "binary_sensor",
        "name": "Picture problem",
        "device_class": "problem",
        "value_template": "{{ 'OFF' if value_json.picture == 'good' else 'ON' }}",
    },
    "state": _WORD | {"name": "State", "options": [*get_args(CameraState)]},
    "picture": _WORD | {"name": "Picture", "options": [*get_args(PictureState)]},
    "fps_in": _MEASURED | _DIAGNOSTIC | {"name": "Frames decoded", "unit_of_measurement": "fps"},
    "fps_out": _MEASURED | {"name": "Frames enhanced", "unit_of_measurement": "fps"},
    "idle": {
        "platform": "binary_sensor",
        "name": "Idle, as nobody watches",
        "value_template": "{{ 'ON' if value_json.idle else 'OFF' }}",
    }
    | _DIAGNOSTIC,
    "latency_ms": _MEASURED | {"name": "Latency", "device_class": "duration", "unit_of_measurement": "ms"},
    "model": {"platform": "sensor", "name": "Model"} | _DIAGNOSTIC,
    "network": {"platform": "sensor", "name": "Enhanced by"} | _DIAGNOSTIC,
    "found": {"platform": "sensor", "name": "Found in the picture"} | _DIAGNOSTIC,
    "dropped": {"platform": "sensor", "name": "Dropped frames", "state_class": "total_increasing"} | _DIAGNOSTIC,
    "reconnects": {"platform": "sensor", "name": "Reconnects", "state_class": "total_increasing"} | _DIAGNOSTIC,
}  # fmt: skip
"""By the key of the report that holds the value, or that the template looks at."""


def discovery_topic(discovery: str, prefix: str, camera: str) -> str:
    """Where Home Assistant looks for a camera's description."""
    return f"{discovery}/device/{_node(prefix, camera)}/config"


def description(
    prefix: str, camera: str, *, state_topic: str, availability_topic: str, version: str
) -> dict[str, Any]:
    """The description of a camera: a device with its entities, all of which read one report."""
    node = _node(prefix, camera)
    entities = {
        key: {"value_template": f"{{{{ value_json.{key} }}}}"} | entity | {"unique_id": f"{node}_{key}"}
        for key, entity in _ENTITIES.items()
    }
    return {
        "device": {"identifiers": [node], "name": camera, "manufacturer": "vsr", "model": "enhanced camera"},
        "origin": {"name": "vsr", "sw_version": version},
        "state_topic": state_topic,
        "availability_topic": availability_topic,
        "components": entities,
    }


def _node(prefix: str, camera: str) -> str:
    return f"{re.sub('[^A-Za-z0-9_-]', '_', prefix)}_{camera}"
