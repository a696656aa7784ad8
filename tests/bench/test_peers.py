"""`vsr bench --peers`: every runtime gives what PyTorch gives, and the ratios are those of the figures. Nothing here
asserts how fast anything is."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vsr.bench.cost import Cost
from vsr.bench.peers import peer_tables
from vsr.bench.peers.exported import export
from vsr.bench.peers.peer_tables import PeerRow, PeerTable
from vsr.bench.peers.runtimes import RUNTIMES, Runtime
from vsr.cli.bench_peers import peers_as_json
from vsr.cli.main import run
from vsr.errors import ConfigError
from vsr.models import Context, Model, ModelSpec
from vsr.models.networks.compact import CompactNet
from vsr.models.networks.planes import PlanesNet

SMALL = ["--peers", "--model", "nano-x2", "--size", "48x32", "--repeat", "1"]


def compact() -> Model:
    torch.manual_seed(0)
    network = CompactNet(channels=8, depth=1, scale=2).eval()
    return Model(ModelSpec("compact", 2, in_channels=3, residual="nearest"), network)


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.name)
def test_a_runtime_gives_what_the_network_gives(runtime: Runtime, tmp_path: Path):
    if runtime.missing:
        pytest.skip(f"{runtime.name} is not installed: pip install {' '.join(runtime.missing)}")
    picture = torch.rand(1, 3, 24, 40)
    exported = export(compact(), (1, 3, 24, 40), tmp_path)
    with torch.no_grad():
        expected = exported.network(picture)
    for precision, most in zip(runtime.precisions, (1e-4, 0.05), strict=False):
        enhance = runtime.prepare(exported, precision, 1)
        assert (enhance(picture) - expected).abs().max() < most
        assert (enhance(1 - picture) - expected).abs().max() > most  # it looks at what it is given


def test_networks_of_several_frames_and_odd_sizes_are_refused(tmp_path: Path):
    model = compact()
    several = replace(model, spec=replace(model.spec, context=Context(before=1, after=1)))
    with pytest.raises(ConfigError, match="looks at several frames"):
        export(several, (1, 3, 24, 40), tmp_path)
    planes = PlanesNet(channels=4, deep=4, depth=(1, 1, 1), scales=(2,), scale=2)
    spec = ModelSpec("planes", 2, in_channels=8, size_multiple=2)
    with pytest.raises(ConfigError, match="multiples of 4"):
        export(Model(spec, planes), (1, 8, 15, 20), tmp_path)


def test_ratios_compare_with_ours_in_the_same_precision():
    def row(name: str, precision: str, one: float, all_cores: float) -> PeerRow:
        return PeerRow(name, "1.0", precision, Cost(9.0, one), Cost(all_cores, 9.0), 0.5)

    rows = (row("vsr", "fp32", 0.2, 0.1), row("A", "fp32", 0.5, 0.3), row("A", "bf16", 0.4, 0.4))
    found = peers_as_json(PeerTable("compact", (24, 40), 2, rows, ("B: not installed",)))
    ours, fp32, bf16 = found["rows"]
    assert (ours["one_core_over_ours"], ours["ours_over_all_cores_fps"]) == (1, 1)
    assert fp32["one_core_over_ours"] == pytest.approx(2.5)  # of processor time
    assert fp32["ours_over_all_cores_fps"] == pytest.approx(3)  # by the clock
    assert bf16["one_core_over_ours"] is None


def test_what_is_not_installed_is_named_with_its_command(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    absent = Runtime("Other", ("no-such-package", "torch"), ("fp32",), RUNTIMES[1].prepare)
    monkeypatch.setattr(peer_tables, "RUNTIMES", (replace(RUNTIMES[0], precisions=("fp32",)), absent))
    monkeypatch.setattr(peer_tables, "_ROUND_S", 0.01)
    assert run(["bench", *SMALL]) == 0
    shown = capfd.readouterr().out
    assert "Other: not installed (pip install no-such-package)" in shown
    assert "vsr fp32" in shown
    assert f"PyTorch {torch.__version__} fp32" in shown


def test_a_runtime_that_fails_is_a_note(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    def broken(*_: object) -> peer_tables.Run:
        raise OSError("no such operator")

    only = replace(RUNTIMES[0], precisions=("fp32",))
    monkeypatch.setattr(peer_tables, "RUNTIMES", (only, replace(only, name="Broken", prepare=broken)))
    monkeypatch.setattr(peer_tables, "_ROUND_S", 0.01)
    assert run(["bench", *SMALL, "--json", "-"]) == 0
    (table,) = json.loads(capfd.readouterr().out)["peers"]
    assert "Broken in fp32: not run (no such operator)" in table["notes"]
    names = {(row["name"], row["precision"]): row for row in table["rows"]}
    assert names["PyTorch", "fp32"]["most_codes"] == 0
    assert names["vsr", "fp32"]["most_codes"] < 0.1
    for row in table["rows"]:
        assert row["one_core"]["core_s"] > 0
        assert row["all_cores"]["wall_s"] > 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--against", "cp {input} {output}"], "one of them at a time"),
        (["--trace", "a.png"], "no --trace"),
        (["--device", "cuda:7"], "--device cpu"),
    ],
)
def test_what_does_not_go_with_peers_is_refused(
    words: list[str], says: str, capfd: pytest.CaptureFixture[str]
):
    assert run(["bench", "--peers", *words]) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert says in line
