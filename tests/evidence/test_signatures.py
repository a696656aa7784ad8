"""Who signed a record, when it was stamped, and what becomes of signatures that do not fit."""

import stat
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from shutil import which

import pytest
from evidence.conftest import FLAGS, Recorded

from vsr.cli.main import run
from vsr.errors import ConfigError, SinkError
from vsr.evidence.signing import KeyFile, signer_of

pytest.importorskip("cryptography")


@pytest.fixture
def key(recorded) -> Path:
    """The one by which the record is signed."""
    return recorded.root / "lab.pem"


@pytest.fixture
def signed(recorded) -> Recorded:
    return recorded


@pytest.fixture
def verify(recorded) -> list[str]:
    """The command, without decoding."""
    place = ["--source", str(recorded.source), "--result", str(recorded.result)]
    return ["evidence", "verify", str(recorded.folder), *place, "--quick"]


def test_a_key_is_for_its_owner_alone_and_never_written_over(key, capsys):
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    private = key.read_bytes()
    assert run(["evidence", "key", str(key)]) == 1
    assert "exists and is left as it is" in capsys.readouterr().err
    assert key.read_bytes() == private


def test_a_signature_says_by_whom_and_every_change_of_it_is_found(signed, verify, key, tmp_path, capsys):
    assert run([*verify, "--key", f"{key}.pub"]) == 0
    assert "by the key that you trust" in capsys.readouterr().out
    assert run(["evidence", "key", str(tmp_path / "other.pem")]) == 0
    assert run([*verify, "--key", str(tmp_path / "other.pem.pub")]) == 3
    assert "is signed by another key" in capsys.readouterr().err
    signature = signed.folder / "record.sig"
    content = signature.read_bytes()
    for bit in range(0, 512, 13):
        signature.write_bytes(
            bytes(byte ^ (1 << bit % 8) * (at == bit // 8) for at, byte in enumerate(content))
        )
        assert run(verify) == 3
        assert "record.sig" in capsys.readouterr().err
    signature.unlink()
    assert run(verify) == 3
    assert "record.sig cannot be read" in capsys.readouterr().err


def test_openssl_finds_the_signature_good(signed, key):
    if which("openssl") is None:
        pytest.skip("no openssl")
    words = ["-rawin", "-pubin", "-inkey", f"{key}.pub", "-sigfile", str(signed.folder / "record.sig")]
    command = ["openssl", "pkeyutl", "-verify", *words, "-in", str(signed.folder / "record.json")]
    assert b"Verified Successfully" in subprocess.run(command, capture_output=True, check=True).stdout


AUTHORITY = """
[ tsa ]
default_tsa = here
[ here ]
serial = {0}/serial
signer_cert = {0}/stamps.pem
signer_key = {0}/stamps.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[ stamps ]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
"""


def authority(folder: Path) -> Path:
    """Certificates of a time stamping authority, whose root is returned; `reply` answers by them."""
    (folder / "conf").write_text(AUTHORITY.format(folder))
    (folder / "serial").write_text("01\n")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, capture_output=True, check=True)

    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *new, "-keyout", "root.key", "-out", "root.pem", "-subj", "/CN=root")
    openssl("req", *new, "-keyout", "stamps.key", "-out", "stamps.csr", "-subj", "/CN=stamps")
    by = [
        "-CA",
        "root.pem",
        "-CAkey",
        "root.key",
        "-CAcreateserial",
        "-extfile",
        "conf",
        "-extensions",
        "stamps",
    ]
    openssl("x509", "-req", "-in", "stamps.csr", *by, "-out", "stamps.pem")
    return folder / "root.pem"


@pytest.fixture
def stamps(tmp_path):
    """Address and root of an authority on this machine."""
    if which("openssl") is None:
        pytest.skip("no openssl")
    pytest.importorskip("rfc3161_client")
    folder = tmp_path / "authority"
    folder.mkdir()
    root = authority(folder)

    class Reply(BaseHTTPRequestHandler):
        def do_POST(self):
            (folder / "asked").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            words = ["ts", "-reply", "-config", "conf", "-queryfile", "asked", "-out", "answer"]
            subprocess.run(["openssl", *words], cwd=folder, capture_output=True, check=True)
            self.send_response(200)
            self.end_headers()
            self.wfile.write((folder / "answer").read_bytes())

        def log_message(self, *_):
            return

    server = HTTPServer(("127.0.0.1", 0), Reply)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", root
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_time_stamp_is_of_this_signature_and_by_whom_one_trusts(
    signed, verify, stamps, tmp_path, monkeypatch, capsys
):
    address, root = stamps
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert run(["evidence", "stamp", str(signed.folder), address]) == 0
    by = [*verify, "--authority"]
    assert run([*by, str(root)]) == 0
    assert "by an authority that is trusted" in capsys.readouterr().out
    (tmp_path / "other").mkdir()
    assert run([*by, str(authority(tmp_path / "other"))]) == 3
    assert "record.tsr: is not by" in capsys.readouterr().err
    stamp = signed.folder / "record.tsr"
    stamp.write_bytes(stamp.read_bytes()[:-1] + b"!")
    assert run([*by, str(root)]) == 3
    assert "record.tsr" in capsys.readouterr().err


def test_an_authority_that_is_not_there_costs_the_stamp_alone(original, key, tmp_path, capsys):
    words = ["enhance", str(original.source), "-o", str(tmp_path / "out.mp4"), *FLAGS]
    assert run([*words, "--evidence", str(tmp_path / "e"), "--timestamp", "http://127.0.0.1:9/"]) == 0
    assert "no time stamp: http://127.0.0.1:9/ does not answer" in capsys.readouterr().err
    assert run(["evidence", "verify", str(tmp_path / "e"), "--quick"]) == 0
    assert run(["evidence", "verify", str(tmp_path / "e"), "--quick", "--key", f"{key}.pub"]) == 3
    assert "is not signed, and by" in capsys.readouterr().err


SIGNER = """#!/bin/sh
case $1 in
  public) openssl pkey -in {key} -pubout ;;
  sign) cat > {key}.in && openssl pkeyutl -sign -rawin -inkey {key} -in {key}.in ;;
esac
"""


def program(folder: Path, text: str) -> str:
    path = folder / "signer"
    path.write_text(text)
    path.chmod(0o755)
    return f"exec:{path}"


@pytest.mark.skipif(not which("openssl"), reason="openssl is not installed")
def test_a_program_signs_for_who_keeps_the_key(original, tmp_path):
    key = tmp_path / "lab.pem"
    assert run(["evidence", "key", str(key)]) == 0
    signer = signer_of(program(tmp_path, SIGNER.format(key=key)))
    assert signer.public_key == KeyFile(key).public_key
    assert signer.sign(b"record") == KeyFile(key).sign(b"record")
    program(tmp_path, "#!/bin/sh\necho no card >&2; exit 7\n")
    with pytest.raises(SinkError, match="sign fails with code 7: no card"):
        signer.sign(b"record")
    program(tmp_path, "#!/bin/sh\nprintf 0123\n")
    with pytest.raises(SinkError, match="writes 4 bytes that are no signature"):
        signer.sign(b"record")


def test_a_program_that_cannot_sign_is_refused_before_anything_is_done(tmp_path):
    for text, told in (
        ("#!/bin/sh\necho no key\n", "is no public key of Ed25519"),
        ("#!/bin/sh\nexit 3\n", "fails with code 3"),
    ):
        with pytest.raises(ConfigError, match=told):
            signer_of(program(tmp_path, text))
    with pytest.raises(ConfigError, match="cannot be called: No such file"):
        signer_of("exec:/nowhere/signer")
