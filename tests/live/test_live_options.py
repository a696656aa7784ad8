"""Options of live: what is accepted, what is refused in which words, and that no secret is ever shown."""

import re
from pathlib import Path

import pytest

from vsr.errors import ConfigError, SourceError
from vsr.live.address import Credentials, resolve
from vsr.live.camera_file import read_options
from vsr.live.mqtt_options import MqttOptions
from vsr.live.options import CameraOptions, LiveOptions, OutputOptions
from vsr.live.region_options import RegionOptions

ROOT = Path(__file__).resolve().parents[2]

CAMERA = '[[cameras]]\nname = "door"\nurl = "rtsp://127.0.0.1/a"\n'


@pytest.fixture
def read(tmp_path):
    def read(text: str) -> LiveOptions:
        path = tmp_path / "cameras.toml"
        path.write_text(text)
        return read_options(path)

    return read


def test_the_example_shows_every_key_with_its_default():
    text = (ROOT / "configs/cameras.toml").read_text()
    options = read_options(ROOT / "configs/cameras.toml")
    door = options.cameras[0]
    assert options == LiveOptions(options.cameras, serve=options.serve)
    assert door == CameraOptions("door", door.url, outputs=door.outputs, regions=door.regions)
    plate = door.regions[0]
    assert plate == RegionOptions("plate", 412, 230, 96, 48, outputs=plate.outputs)
    assert [output.target for output in plate.outputs] == ["recordings/door-plate"]
    for index, made in enumerate(door.outputs):
        assert made == OutputOptions(made.kind, made.target, segment_s=60.0 * (index == 1))
    for kind in (LiveOptions, CameraOptions, OutputOptions, RegionOptions, MqttOptions):
        assert all(re.search(rf"\b{name}\b", text) for name in kind.__dataclass_fields__)


def test_a_camera_wins_over_the_defaults_and_its_name_goes_into_targets(read):
    options = read(
        '[defaults]\ntransport = "udp"\nstall_s = 3\noutputs = [{kind = "hls", target = "out/{name}"}]\n'
        + CAMERA
        + '[[cameras]]\nname = "yard"\nurl = "clip.mp4"\ntransport = "tcp"\n'
    )
    door, yard = options.cameras
    assert (door.transport, door.stall_s, door.outputs[0].target) == ("udp", 3.0, "out/door")
    assert (yard.transport, yard.stall_s, yard.outputs[0].target) == ("tcp", 3.0, "out/yard")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (CAMERA + 'outputs = [{ kind = "record", target = "" }]\n', r"outputs\.1: target is empty"),
        (
            CAMERA + 'outputs = [{ kind = "record", target = "out/{nam}" }]\n',
            r"\{nam\} in the target of an output stands for nothing; \{name\}, the camera's name, is accepted",
        ),
        (
            CAMERA.replace("127.0.0.1", "127.0.0.1\\u0000"),
            r"cameras\.door: an address holds characters that cannot be printed",
        ),
        (CAMERA + "color = 1\n", r"cameras\.door\.color is not known; name, url, .* are accepted"),
        ("latency = 5\n" + CAMERA, r"toml: latency is not known; cameras, latency_ms"),
        (CAMERA + "stall_s = true\n", r"cameras\.door\.stall_s .* a number is accepted"),
        (
            CAMERA + 'transport = "http"\n',
            r"cameras\.door\.transport .* 'auto' or 'tcp' or 'udp' is accepted",
        ),
        (CAMERA + 'source = "best"\n', r"cameras\.door\.source .* 'auto' or 'clean' or 'real' is accepted"),
        (CAMERA + 'denoise = "much"\n', r"cameras\.door\.denoise .* 'auto' or a number is accepted"),
        (CAMERA + "denoise = 2\n", r"cameras\.door: denoise 2 is out of range; 0 to 1 is accepted"),
        (CAMERA + 'source = "real"\ndenoise = 1\n', r"cameras\.door: source and denoise exclude each other"),
        ('latency_ms = "5"\n' + CAMERA, r"latency_ms .* a whole number is accepted"),
        ('[engine]\nbatch = "x"\n' + CAMERA, r"engine\.batch .* 'auto' or a whole number is accepted"),
        ("[defaults]\nstall_s = 0\n" + CAMERA, r"defaults: stall_s 0 is out of range; more than 0"),
        ('[defaults]\nurl = "a"\n' + CAMERA, r"defaults\.url makes no sense"),
        ('[[cameras]]\nname = "door"\n', r"cameras\.door\.url is missing"),
        ("cameras = 3\n", r"cameras must be a list"),
        ("", r"there is no camera; add a \[\[cameras\]\] table"),
        (CAMERA + CAMERA, r"two cameras are named 'door'"),
        (
            CAMERA + 'outputs = [{kind = "rtsp", target = "folder"}]\n',
            r"door\.outputs\.1: target 'folder' does not suit",
        ),
        (
            CAMERA + 'outputs = [{kind = "hls", target = "a"}, {kind = "record", target = "a"}]\n',
            "the same target",
        ),
        (
            CAMERA + 'outputs = [{kind = "hls", target = "a"}, {kind = "record", target = "b/.././a/"}]\n',
            "the same target",
        ),
        (CAMERA + "x = " + "[" * 5000 + "]" * 5000 + "\n", "is nested too deeply"),
        (
            CAMERA + "record_original = true\n",
            r"cameras\.door: record_original needs an output of kind 'record'",
        ),
        (
            CAMERA + 'credentials_env = "VSR_NOT_SET"\n',
            r"cameras\.door: environment variable VSR_NOT_SET must hold",
        ),
        (CAMERA.replace("rtsp:", "gopher:"), r"gopher:// is no camera; rtsp"),
        (CAMERA + "x =\n", r"is not TOML: .*line 4"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key_and_what_is_accepted(read, text, says):
    with pytest.raises(ConfigError, match=says) as caught:
        read(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown", "secrets"),
    [
        ("rtsp://al:pa%40ss@host:554/a", "rtsp://***@host:554/a", ["al", "pa%40ss", "pa@ss"]),
        ("rtsp://al:p@s@host/a", "rtsp://***@host/a", ["al", "p@s"]),
        ("rtsp://host/a?channel=1&pwd=geheim&tok", "rtsp://host/a?channel=1&pwd=***&***", ["geheim", "tok"]),
        ("rtmp://host/live/key-123", "rtmp://host/live/***", ["key-123"]),
        ("rtsp://[::1]:8554/a", "rtsp://[::1]:8554/a", []),
    ],
)
def test_secrets_are_told_from_the_rest_of_a_url(url, shown, secrets):
    address = resolve(url)
    assert (address.shown, set(address.secrets)) == (shown, set(secrets))
    assert address.url == url
    assert not any(secret in repr(address) for secret in secrets)
    assert address.redact(f"cannot open {url}") == f"cannot open {shown}"


@pytest.mark.parametrize(
    "url",
    ["rtsp://al:geheim/x@host/a", "rtsp://al:geheim#x@host/a", "rtsp://al:geheim", "rtsp://al:99999/geheim"],
)
def test_a_url_that_cannot_be_told_apart_is_refused_without_showing_it(url):
    with pytest.raises(ConfigError, match="%40") as caught:
        resolve(url)
    assert "geheim" not in str(caught.value)


def test_credentials_come_from_the_environment_or_a_file_as_they_are_now(tmp_path, monkeypatch):
    monkeypatch.setenv("DOOR", "al:a/b@c:d")
    assert resolve("rtsp://host/a", Credentials(env="DOOR")).url == "rtsp://al:a%2Fb%40c%3Ad@host/a"
    file = tmp_path / "secret"
    file.write_text("al:one\n")
    assert resolve("rtsp://host/a", Credentials(file=str(file))).url == "rtsp://al:one@host/a"
    file.write_text("al:two\n")
    assert resolve("rtsp://host/a", Credentials(file=str(file))).url == "rtsp://al:two@host/a"
    file.write_text("geheim\n")
    with pytest.raises(ConfigError, match="must hold USER:PASSWORD") as caught:
        resolve("rtsp://host/a", Credentials(file=str(file)))
    assert "geheim" not in str(caught.value)


def test_options_and_errors_show_no_password():
    output = OutputOptions("rtsp", "rtsp://al:geheim@host/b")
    camera = CameraOptions("door", "rtsp://al:geheim@host/a", outputs=(output,))
    assert "geheim" not in repr(LiveOptions((camera,)))
    assert "geheim" not in str(SourceError("cannot open rtsp://al:ge@geheim@host/a"))
    with pytest.raises(ConfigError) as caught:
        OutputOptions("hls", "rtsp://al:geheim@host/b")
    assert "geheim" not in str(caught.value)
