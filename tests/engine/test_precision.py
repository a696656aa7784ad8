"""Which precision `auto` is, on processors that are shown as less than they are."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.networks import tiny

from vsr.engine import Engine, device, precision
from vsr.engine.precision import place, speed_up
from vsr.models import Model, has_int8, load
from vsr.models.spec import ModelSpec
from vsr.options import EngineOptions

CPU = EngineOptions(device="cpu")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """Say what the processor has, and what two frames would show."""

    def has(*names: str, **gains: float) -> None:
        monkeypatch.setattr(precision, "has_amx", lambda: "amx" in names)
        monkeypatch.setattr(precision, "has_fast_bf16", lambda: "amx" in names or "avx512_bf16" in names)
        monkeypatch.setattr(precision, "has_int8", lambda: "vnni" in names)
        monkeypatch.setattr(precision, "speed_up", lambda model, name: gains[name])

    return has


def model_of(*dtypes: str, loss: float | None = 0.05) -> Model:
    return Model(ModelSpec("some-x2", scale=2, dtypes=("fp32", *dtypes), int8_loss=loss), tiny(2))


BOTH = model_of("bf16", "int8")


def test_a_matrix_unit_means_bf16_and_nothing_is_measured(machine):
    machine("amx", "vnni")
    assert place(CPU, BOTH).precision == "bf16"


def test_bf16_without_a_matrix_unit_is_taken_where_it_is_faster(machine):
    machine("avx512_bf16", "vnni", bf16=1.9, int8=2.5)
    spot = place(CPU, BOTH)
    assert (spot.precision, spot.why) == ("bf16", "1.9 times as fast as fp32 here")


def test_int8_is_taken_beside_a_fast_bf16_where_it_is_faster_by_far(machine):
    machine("avx512_bf16", "vnni", bf16=1.8, int8=3.0)
    spot = place(CPU, BOTH)
    assert spot.precision == "int8"
    assert spot.why == "1.7 times as fast as bf16; 3.0 times as fast as fp32, for 0.05 dB"
    machine("avx512_bf16", "vnni", bf16=1.8, int8=2.6)
    assert place(CPU, BOTH).precision == "bf16"
    machine("avx512_bf16", "vnni", bf16=1.8, int8=9.0)
    assert place(CPU, model_of("bf16", "int8", loss=0.08)).precision == "bf16"


def test_where_bf16_is_slow_int8_is_taken_and_its_price_is_said(machine):
    machine("avx512_bf16", "vnni", bf16=0.9, int8=3.04)
    spot = place(CPU, BOTH)
    assert (spot.precision, spot.why) == ("int8", "no fast bf16 here; 3.0 times as fast as fp32, for 0.05 dB")


def test_without_bf16_int8_is_taken_where_vnni_is_there(machine):
    machine("vnni", int8=3.0)
    assert place(CPU, BOTH).precision == "int8"
    machine("vnni", int8=1.1)
    assert place(CPU, BOTH).precision == "fp32"
    machine()
    assert place(CPU, BOTH).precision == "fp32"


@pytest.mark.parametrize("loss", [None, 0.08])
def test_int8_that_costs_more_or_that_nobody_has_measured_is_not_taken_unasked(machine, loss):
    machine("vnni", int8=5.0)
    assert place(CPU, model_of("int8", loss=loss)).precision == "fp32"
    assert place(replace(CPU, precision="int8"), model_of("int8", loss=loss)).why == "as asked"


def test_a_network_that_is_not_prepared_stays_in_fp32(machine):
    machine("vnni")
    assert place(CPU, model_of("fp16")).precision == "fp32"


@pytest.mark.skipif(not has_int8(), reason="no VNNI")
def test_an_engine_says_that_it_took_int8(machine):
    machine("vnni", int8=3.0)
    model = load("nano-x2")
    assert model.spec.int8_loss is not None
    (note,) = Engine([model], CPU).notes
    assert (
        note
        == f"nano-x2 runs in int8: no fast bf16 here; 3.0 times as fast as fp32, for {model.spec.int8_loss:.2f} dB"
    )
    assert not Engine([model], replace(CPU, precision="int8")).notes


@pytest.fixture
def speeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The file in which gains are remembered."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    precision._remembered.cache_clear()
    yield tmp_path / "vsr" / "speeds.json"
    precision._remembered.cache_clear()


def test_what_was_measured_is_remembered_by_machine_and_network(
    speeds: Path, monkeypatch: pytest.MonkeyPatch
):
    model, seconds = model_of("int8"), {"fp32": 0.06, "int8": 0.02}
    monkeypatch.setattr(precision, "_seconds_a_frame", lambda model, name: seconds.pop(name))
    assert speed_up(model, "int8") == 3.0
    ((machine, known),) = json.loads(speeds.read_text()).items()
    assert known == {"some-x2  int8": 3.0}
    assert torch.__version__ in machine
    precision._remembered.cache_clear()  # as another process
    assert speed_up(model, "int8") == 3.0


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', '{"a": {"b": "fast"}}', "\0"])
def test_a_damaged_memory_is_measured_anew(speeds: Path, content: str):
    speeds.parent.mkdir()
    speeds.write_text(content)
    assert speed_up(model_of("fp32"), "fp32") > 0
    assert "some-x2" in speeds.read_text()


def test_a_memory_that_cannot_be_written_is_no_error(speeds: Path):
    speeds.parent.write_text("a file where the folder would be")
    assert speed_up(model_of("fp32"), "fp32") > 0


@pytest.mark.parametrize("name", ["nano-x2", "deblur-x1", "fast-real-x2", "video-x2"])
def test_every_kind_of_network_can_be_timed(speeds: Path, name: str):
    assert speed_up(load(name), "fp32") > 0


def test_a_limit_of_onednn_counts_as_what_the_processor_lacks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    for limit, amx, bf16 in [
        ("", 1, 1),
        ("AVX512_CORE_BF16", 0, 1),
        ("AVX512_CORE_VNNI", 0, 0),
        ("ALL", 1, 1),
    ]:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
        assert (device.has_amx(), device.has_fast_bf16()) == (amx, bf16)
