"""What a broker is told, by a real broker; without mosquitto these tests skip."""

import json
import logging
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from support.live_player import free_port, wait_for
from support.live_view import FACTS, GRAINY, view

from vsr.errors import ConfigError
from vsr.live.monitoring.mqtt import MqttReports
from vsr.live.mqtt_options import MqttOptions
from vsr.live.scheduling.overview import ChannelOverview
from vsr.live.service_view import LiveView

BROKER = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
pytestmark = pytest.mark.skipif(BROKER is None, reason="no MQTT broker: mosquitto is not installed")
PATIENCE_S = 60
WHO = ("alice", "ge-h3im")


class Broker:
    """A broker on a port of its own that keeps nothing when it ends."""

    def __init__(self, folder: Path):
        self.port, self._folder = free_port(), folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *lines: str) -> None:
        config = self._folder / "mosquitto.conf"
        config.write_text(
            "\n".join(
                [f"listener {self.port} 127.0.0.1", "user root", *(lines or ["allow_anonymous true"]), ""]
            )
        )
        self._process = subprocess.Popen([str(BROKER), "-c", config], stderr=subprocess.DEVNULL)
        wait_for(self._answers, PATIENCE_S)

    def _answers(self) -> bool:
        client = Client(CallbackAPIVersion.VERSION2)
        try:
            client.connect("127.0.0.1", self.port)
        except OSError:
            return False
        client.disconnect()
        return True

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @contextmanager
    def heard(self, who: tuple[str, str] | None = None) -> Iterator[dict[str, str]]:
        """The newest message of each topic, while the block lasts; empty ones are left out."""
        told: dict[str, str] = {}

        def hear(client, userdata, message) -> None:
            told[message.topic] = message.payload.decode()

        client = Client(CallbackAPIVersion.VERSION2)
        if who:
            client.username_pw_set(*who)
        client.on_message = hear
        client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        try:
            yield told
        finally:
            client.disconnect()
            client.loop_stop()


@pytest.fixture
def broker(tmp_path):
    made = Broker(tmp_path)
    yield made
    made.kill()


@pytest.fixture
def reports(broker):
    opened: list[MqttReports] = []
    threads = set(threading.enumerate())

    def reports(look, **options: object) -> MqttReports:
        opened.append(MqttReports(MqttOptions("127.0.0.1", broker.port, **options), look))  # type: ignore[arg-type]
        return opened[-1]

    yield reports
    for one in opened:
        one.close()
    wait_for(lambda: set(threading.enumerate()) <= threads)


def test_a_camera_appears_in_home_assistant_and_its_state_is_told(broker, reports):
    broker.start()
    shown = [view()]
    reports(lambda: shown[0])
    with broker.heard() as told:
        wait_for(lambda: "vsr/door/state" in told, PATIENCE_S)
        wait_for(lambda: told.get("vsr/availability") == "online", PATIENCE_S)
        state = json.loads(told["vsr/door/state"])
        assert (state["state"], state["picture"], state["model"]) == ("playing", "good", "fast-x2")
        assert (state["fps_in"], state["fps_out"], state["latency_ms"], state["dropped"]) == (25, 24, 50, 5)
        assert_is_a_device(json.loads(told["homeassistant/device/vsr_door/config"]), state)
        shown[0] = view(state="away", picture="frozen")
        wait_for(lambda: json.loads(told["vsr/door/state"])["state"] == "away", PATIENCE_S)
        assert json.loads(told["vsr/door/state"])["picture"] == "frozen"
        shown[0] = view(facts=replace(FACTS, network="fast-real-x2", look="real"), verdict=GRAINY)
        wait_for(lambda: json.loads(told["vsr/door/state"])["network"] == "fast-real-x2", PATIENCE_S)
        assert json.loads(told["vsr/door/state"])["found"] == GRAINY.why


def assert_is_a_device(config: dict, state: dict) -> None:
    """As https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload wants it."""
    assert config["device"]["identifiers"] == ["vsr_door"]
    assert config["origin"]["name"] == "vsr"
    assert (config["state_topic"], config["availability_topic"]) == ("vsr/door/state", "vsr/availability")
    entities = config["components"]
    assert len({one["unique_id"] for one in entities.values()}) == len(entities)
    for one in entities.values():
        assert one["platform"] in ("sensor", "binary_sensor")
        assert any(f"value_json.{key} " in one["value_template"] for key in state)
        if one.get("device_class") == "enum":
            assert "state_class" not in one
            assert "unit_of_measurement" not in one
    assert "playing" in entities["state"]["options"]
    assert "covered" in entities["picture"]["options"]


def test_a_region_and_a_camera_that_goes_are_devices_that_come_and_go(broker, reports):
    broker.start()
    both = LiveView(view().overview, (*view().cameras, *view(facts=named("door-plate")).cameras))
    shown = [both]
    reports(lambda: shown[0])
    with broker.heard() as told:
        wait_for(lambda: "vsr/door-plate/state" in told, PATIENCE_S)
        wait_for(lambda: "homeassistant/device/vsr_door-plate/config" in told, PATIENCE_S)
        shown[0] = view()
        wait_for(lambda: told["homeassistant/device/vsr_door-plate/config"] == "", PATIENCE_S)
    with broker.heard() as kept:
        wait_for(lambda: "vsr/door/state" in kept, PATIENCE_S)
        assert "vsr/door-plate/state" not in kept


def named(name: str) -> ChannelOverview:
    return replace(FACTS, name=name, number=1)


def test_the_end_is_told_by_us_or_by_the_broker(broker, reports):
    broker.start()
    ends, dies = reports(view, prefix="ends"), reports(view, prefix="dies")
    with broker.heard() as told:
        wait_for(
            lambda: told.get("ends/availability") == told.get("dies/availability") == "online", PATIENCE_S
        )
        ends.close()
        wait_for(lambda: told["ends/availability"] == "offline", PATIENCE_S)
        dies._client.socket().shutdown(2)  # as when the process is killed
        wait_for(lambda: told["dies/availability"] == "offline", PATIENCE_S)
        wait_for(lambda: told["dies/availability"] == "online", PATIENCE_S)  # it is back


def test_a_broker_that_comes_late_and_one_that_forgets_are_told_all(broker, reports, caplog):
    caplog.set_level(logging.INFO, "vsr.live")
    reports(view)
    wait_for(lambda: "cannot be reached; it is tried again" in caplog.text, PATIENCE_S)
    for _ in range(2):
        broker.start()
        with broker.heard() as told:
            wait_for(lambda: "homeassistant/device/vsr_door/config" in told, PATIENCE_S)
            wait_for(lambda: "vsr/door/state" in told and told["vsr/availability"] == "online", PATIENCE_S)
        broker.kill()
        wait_for(lambda: "has gone" in caplog.text, PATIENCE_S)


def test_password_is_asked_for_and_never_shown(broker, reports, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    keeper = shutil.which("mosquitto_passwd")
    assert keeper is not None
    passwords, right, wrong = (tmp_path / name for name in ("passwords", "right", "wrong"))
    subprocess.run([keeper, "-b", "-c", passwords, *WHO], check=True, stderr=subprocess.DEVNULL)
    passwords.chmod(0o644)
    broker.start("allow_anonymous false", f"password_file {passwords}")
    right.write_text(":".join(WHO))
    wrong.write_text("alice:wr0ng-one")
    reports(view, credentials_file=str(wrong), prefix="wrong")
    wait_for(lambda: "says no: not authorized" in caplog.text, PATIENCE_S)
    reports(view, credentials_file=str(right))
    with broker.heard(WHO) as told:
        wait_for(lambda: "vsr/door/state" in told, PATIENCE_S)
        assert "wrong/availability" not in told
    assert "ge-h3im" not in caplog.text
    assert "wr0ng-one" not in caplog.text


def test_a_broker_that_says_nothing_is_left_within_seconds(reports):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        one = MqttReports(MqttOptions("127.0.0.1", port), view)
        silent.settimeout(PATIENCE_S)
        caller, _ = silent.accept()
        began = time.monotonic()
        one.close()
        assert time.monotonic() - began < PATIENCE_S / 2
        caller.close()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"port": 70000}, "port 70000 is no port"),
        ({"prefix": "a/#"}, "prefix 'a/#' cannot be used"),
        ({"prefix": ""}, "prefix '' cannot be used"),
        ({"host": "mqtt://al:geheim@host"}, "host cannot be read"),
        ({"ca_file": "a.pem"}, "ca_file needs tls"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(options, says):
    with pytest.raises(ConfigError, match=says) as caught:
        MqttOptions(**options)
    assert "geheim" not in str(caught.value)


def test_a_ca_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    options = MqttOptions("127.0.0.1", tls=True, ca_file=str(tmp_path / "ca.pem"))
    with pytest.raises(ConfigError, match=r"ca_file .* PEM certificates are accepted"):
        MqttReports(options, view)
