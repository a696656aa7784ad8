"""Content credentials, read by two libraries that have nothing in common."""

import json
import subprocess
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from evidence.conftest import FLAGS
from support.certificates import Certified, certified

from vsr.cli.main import run
from vsr.errors import ConfigError
from vsr.evidence.content_credentials import Credential, Deeds, credentials_of, put_credentials


@pytest.fixture(scope="session")
def by(tmp_path_factory) -> Certified:
    return certified(tmp_path_factory.mktemp("certified"))


def deeds(*, generative: bool = False) -> Deeds:
    return Deeds(("nano-x2",), generative, True, False, False, False, "00")


def second_opinion(path: Path, root: Path) -> dict:
    encypher = pytest.importorskip("encypher_c2pa")
    return encypher.verify(path, telemetry=False, trust_pem=root.read_text(), no_default_trust=True)


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_pictures_hold_credentials_that_two_libraries_find_good(by, tmp_path, ending):
    source, result = tmp_path / "in.png", tmp_path / f"out.{ending}"
    for path in (source, result):
        cv2.imwrite(str(path), np.random.default_rng(1).integers(0, 255, (40, 60, 3), np.uint8))
    assert put_credentials(result, source, deeds(), Credential.read(by.chain, by.key)) == result
    assert credentials_of(result)[0] == "valid"
    assert credentials_of(result, by.root.read_text())[0] == "trusted"
    told = second_opinion(result, by.root)
    assert (told["validation_state"], told["integrity"], told["hard_binding"]) == (
        "Trusted",
        "valid",
        "match",
    )


@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_videos_hold_them_with_their_index_in_front_until_somebody_remuxes(original, by, tmp_path, ending):
    out, folder = tmp_path / f"out.{ending}", tmp_path / "evidence"
    words = ["enhance", str(original.source), "-o", str(out), "--evidence", str(folder), *FLAGS]
    assert run([*words, "--credentials", str(by.chain), "--credentials-key", str(by.key)]) == 0
    content = out.read_bytes()
    assert 0 < content.find(b"moov") < content.find(b"mdat")
    state, told = credentials_of(out, by.root.read_text())
    assert state == "trusted"
    assert second_opinion(out, by.root)["validation_state"] == "Trusted"
    manifest = told["manifests"][told["active_manifest"]]
    assert [each["title"] for each in manifest["ingredients"]] == ["in.mp4"]
    assertions = {each["label"]: each["data"] for each in manifest["assertions"]}
    actions = assertions["c2pa.actions.v2"]["actions"]
    assert [each["action"] for each in actions] == [
        "c2pa.opened",
        "c2pa.enhanced",
        "c2pa.resized",
        "c2pa.transcoded",
    ]
    assert actions[1]["digitalSourceType"].endswith("/algorithmicallyEnhanced")
    assert run(["evidence", "verify", str(folder), "--authority", str(by.root)]) == 0
    again = tmp_path / f"again.{ending}"
    words = ["-v", "error", "-i", str(out), "-c", "copy", "-movflags", "+faststart", str(again)]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *words], check=True)
    again.replace(out)
    assert credentials_of(out)[0] == "none"


def test_what_was_stripped_or_changed_is_reported(original, by, tmp_path, capsys):
    out, folder = tmp_path / "out.mp4", tmp_path / "evidence"
    words = ["enhance", str(original.source), "-o", str(out), "--evidence", str(folder), *FLAGS]
    assert run([*words, "--credentials", str(by.chain), "--credentials-key", str(by.key)]) == 0
    content = out.read_bytes()
    changed = content.find(b"mdat") + 40
    out.write_bytes(content[:changed] + bytes([content[changed] ^ 1]) + content[changed + 1 :])
    assert credentials_of(out)[0] == "invalid"
    assert run(["evidence", "verify", str(folder)]) == 3
    assert "its content credentials are invalid" in capsys.readouterr().err
    bare = tmp_path / "bare.mp4"
    words = ["-v", "error", "-i", str(out), "-c", "copy", "-map_metadata", "0", str(bare)]
    out.write_bytes(content)
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *words], check=True)
    bare.replace(out)
    assert run(["evidence", "verify", str(folder)]) == 3
    told = capsys.readouterr().err
    assert "its pictures are as they were" in told
    assert "its content credentials were stripped" in told


def test_matroska_has_them_beside_it_and_generative_ones_say_so(original, by, tmp_path):
    out, folder = tmp_path / "out.mkv", tmp_path / "evidence"
    words = ["enhance", str(original.source), "-o", str(out), "--evidence", str(folder), "--quiet"]
    words += ["--model", "fast-sharp-x2", "--allow-generative", "--preset", "ultrafast"]
    assert run([*words, "--credentials", str(by.chain), "--credentials-key", str(by.key)]) == 0
    state, told = credentials_of(out, by.root.read_text())
    assert state == "trusted"
    assert "compositeWithTrainedAlgorithmicMedia" in json.dumps(told)
    (tmp_path / "out.mkv.c2pa").unlink()
    assert run(["evidence", "verify", str(folder), "--quick"]) == 3


def test_a_key_of_another_certificate_is_refused(by):
    with pytest.raises(ConfigError, match="is not the key of"):
        Credential.read(by.root, by.key)
