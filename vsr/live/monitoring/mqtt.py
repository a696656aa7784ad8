"""How the cameras do, told to an MQTT broker. Needs `paho-mqtt`, the extra `mqtt`.

Retained, so that whoever comes later knows it at once:

- `PREFIX/availability`: `online`, or `offline` when the service has ended, however it did (a last will)
- `PREFIX/CAMERA/state`: a report as JSON, when the camera's state or network changes and every few seconds
- what Home Assistant needs to show the camera (`home_assistant.py`)

Tells what a view shows, in threads of its own: a broker that is slow, away or says no holds up no camera.
"""

import json
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from vsr import __version__
from vsr.errors import ConfigError
from vsr.live.monitoring.home_assistant import description, discovery_topic
from vsr.live.mqtt_options import MqttOptions
from vsr.live.newest_wins import in_background
from vsr.live.service_view import CameraView, LiveView

log = logging.getLogger("vsr.live")

_LOOK_S = 0.5
"""How soon a change of state is told."""
_LONGEST_PAUSE_S = 60
"""What the pauses between attempts grow to, from one second."""
_ALIVE_S = 30
"""The broker is asked so often whether it is still there."""
_CLOSE_S = 2.0


class MqttReports:
    """Tells a broker until it is closed.

    Args:
        options: which broker; its credentials are read now.
        look: makes the view that is told of; called in a thread of its own.

    Raises:
        ConfigError: `paho-mqtt` is not installed, or the options cannot be used.
    """

    def __init__(self, options: MqttOptions, look: Callable[[], LiveView]):
        self._options, self._look = options, look
        self._shown = options.address.shown
        self._told: dict[str, tuple[object, ...]] = {}
        """What changed of each camera when it was reported last."""
        self._count, self._again = 0, threading.Event()
        self._problem = ""
        self._stop = threading.Event()
        self._client = _client(options)
        self._client.will_set(self._availability, "offline", qos=1, retain=True)
        self._client.on_connect = self._answered
        self._client.on_connect_fail = lambda *_: self._note("cannot be reached")
        self._client.on_disconnect = lambda *_: None if self._stop.is_set() else self._note("has gone")
        self._client.connect_async(options.host, options.usual_port, keepalive=_ALIVE_S)
        self._client.loop_start()
        self._done = in_background(self._tell, name="vsr-mqtt")

    @property
    def _availability(self) -> str:
        return f"{self._options.prefix}/availability"

    def _answered(
        self, client: Any, userdata: object, flags: object, reason: Any, properties: object
    ) -> None:
        """The broker has taken us, or not; in the client's thread."""
        if reason.is_failure:
            self._note(f"says no: {str(reason).lower()}")
            return
        self._problem = ""
        log.info("%s: connected", self._shown, extra={"event": "mqtt"})
        self._again.set()

    def _note(self, problem: str) -> None:
        """Say once what is wrong; it is tried again."""
        if problem != self._problem:
            self._problem = problem
            log.warning("%s %s; it is tried again", self._shown, problem, extra={"event": "mqtt"})

    def _tell(self) -> None:
        """Work of our thread."""
        while not self._stop.wait(_LOOK_S):
            if not self._client.is_connected():
                continue
            if self._again.is_set():  # a broker that was started anew may have forgotten everything
                self._again.clear()
                self._told.clear()
                self._publish(self._availability, "online")
            self._report(self._look())

    def _report(self, view: LiveView) -> None:
        self._count += 1
        all_due = self._count % max(1, round(self._options.every_s / _LOOK_S)) == 0
        for camera in view.cameras:
            name, status = camera.facts.name, camera.facts.camera
            if name not in self._told:
                self._describe(name)
            now = (status.state, status.picture, camera.facts.look, camera.facts.idle)
            if all_due or self._told.get(name) != now:
                self._told[name] = now
                self._publish(self._state_topic(name), json.dumps(_facts(camera, view.overview.level)))
        for name in self._told.keys() - {camera.facts.name for camera in view.cameras}:
            del self._told[name]  # nothing of a camera that is no longer configured stays at the broker
            self._publish(self._state_topic(name), "")
            if self._options.discovery:
                self._publish(self._discovery_topic(name), "")

    def _describe(self, name: str) -> None:
        if not self._options.discovery:
            return
        told = description(
            self._options.prefix,
            name,
            state_topic=self._state_topic(name),
            availability_topic=self._availability,
            version=__version__,
        )
        self._publish(self._discovery_topic(name), json.dumps(told))

    def _state_topic(self, name: str) -> str:
        return f"{self._options.prefix}/{name}/state"

    def _discovery_topic(self, name: str) -> str:
        return discovery_topic(self._options.discovery, self._options.prefix, name)

    def _publish(self, topic: str, text: str) -> Any:
        return self._client.publish(topic, text, qos=1, retain=True)

    def close(self) -> None:
        """Say that we are gone, and free all threads, within a few seconds."""
        self._stop.set()
        self._done.result()
        if self._client.is_connected():
            with suppress(ValueError, RuntimeError):  # a broker that has just gone
                self._publish(self._availability, "offline").wait_for_publish(_CLOSE_S)
        self._client.disconnect()
        ended = in_background(self._client.loop_stop, name="vsr-mqtt-end")
        with suppress(TimeoutError):  # a connect under way takes its time; its thread ends with it
            ended.result(_CLOSE_S)


def _client(options: MqttOptions) -> Any:
    try:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError:
        raise ConfigError(
            "[mqtt] needs paho-mqtt, the extra `mqtt`; pip install 'paho-mqtt>=2', or leave mqtt out"
        ) from None
    client = Client(CallbackAPIVersion.VERSION2)
    client.reconnect_delay_set(1, _LONGEST_PAUSE_S)
    if (login := options.login) is not None:
        client.username_pw_set(*login)
    if options.tls:
        try:
            client.tls_set(ca_certs=options.ca_file or None)
        except OSError as error:  # ssl's errors are such, too
            raise ConfigError(
                f"mqtt.ca_file {options.ca_file!r} cannot be used ({error.strerror or error}); PEM certificates are"
                " accepted"
            ) from None
    return client


def _facts(camera: CameraView, level: str) -> dict[str, object]:
    facts = camera.facts
    return {
        "state": facts.camera.state,
        "picture": facts.camera.picture,
        "fps_in": round(facts.fps_in, 2),
        "fps_out": round(facts.fps_out, 2),
        "idle": facts.idle,
        "latency_ms": round(facts.latency_p95_s * 1000),
        "model": level,
        "network": facts.network,
        "found": facts.found,
        "dropped": camera.dropped,
        "reconnects": facts.camera.reconnects,
    }
