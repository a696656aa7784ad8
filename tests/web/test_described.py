"""The description of the API holds: whatever it allows or forbids is answered as it says, and never by a failure."""

import subprocess
import sys

import pytest
from support.web_server import web

pytest.importorskip("schemathesis", reason="needs schemathesis")

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
OPTIONS = {"model": "bicubic-x2", "preset": "ultrafast"}


@pytest.mark.slow
def test_requests_of_every_kind_are_answered_as_described(tmp_path, clip, monkeypatch):
    monkeypatch.setenv("VSR_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("VSR_MODELS_MIRROR", str(tmp_path / "nothing"))  # no model is fetched from anywhere
    monkeypatch.setenv("SCHEMATHESIS_HOOKS", "hooks")
    (tmp_path / "hooks.py").write_text(
        "import schemathesis\n"
        'schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")\n'
    )
    with web(tmp_path) as server:
        client = server.client
        upload = client.upload(clip)
        job = client.wait(client.order(upload, **OPTIONS)["id"], every_s=0.1)["id"]
        ids = {"^/v1/jobs/": job, "^/v1/uploads/": upload}  # so that more than 404 is answered
        (tmp_path / "schemathesis.toml").write_text(
            "".join(
                f'[[operations]]\ninclude-path-regex = "{paths}"\nparameters = {{ "path.id" = "{id}" }}\n'
                for paths, id in ids.items()
            )
        )
        words = [
            "run",
            f"{server.address}/openapi.json",
            "--phases",
            "coverage,fuzzing",
            "--max-examples",
            "3",
        ]
        words += ["--exclude-path", "/v1/events", "--exclude-method", "DELETE", "--checks", CHECKS]
        words += ["--request-timeout", "150", "--no-color", "--seed", "1"]
        ran = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", *words], cwd=tmp_path, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr
        assert "Tested: 3" in ran.stdout, "almost forty operations"
        assert client.get(f"/v1/jobs/{job}")["id"] == job
