"""What a film costs, by the rule that is printed."""

import json

import pytest

from vsr.bench import hardware_peak
from vsr.bench.film import FilmOptions, film_cost
from vsr.cli.main import run
from vsr.errors import ConfigError


def test_hours_energy_and_money_follow_from_the_frames_per_second():
    film = FilmOptions(film=90, film_fps=25, price=0.4)
    assert film.num_frames == 135_000
    cost = film_cost(film, fps=12.5, watts=200)
    assert cost.hours == pytest.approx(3)
    assert cost.kwh == pytest.approx(0.6)
    assert cost.euros == pytest.approx(0.24)


def test_watts_are_those_named_or_the_rule_and_of_a_gpu_always_named():
    assert FilmOptions(film=90).watts_of("cpu", 8) == 120
    assert FilmOptions(film=90, watts=65).watts_of("cpu", 8) == 65
    assert FilmOptions(film=90, watts=400).watts_of("cuda", 8) == 400
    with pytest.raises(ConfigError, match="--watts"):
        FilmOptions(film=90).watts_of("cuda", 8)


@pytest.mark.parametrize("words", [["--film", "-1"], ["--film", "90", "--film-fps", "0"], ["--price", "nan"]])
def test_bad_figures_are_refused(words: list[str], capfd: pytest.CaptureFixture[str]):
    assert run(["bench", *words]) == 2
    assert len(capfd.readouterr().err.strip().splitlines()) == 1


def test_the_command_prints_the_rule_and_writes_what_it_measured(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path
):
    monkeypatch.setattr(hardware_peak, "_ENOUGH_S", 0.02)
    path = tmp_path / "bench.json"
    words = ["--model", "nano-x2", "--size", "48x32", "--frames", "6", "--repeat", "1", "--encoder", "null"]
    assert (
        run(["bench", *words, "--device", "cpu", "--film", "90", "--watts", "50", "--json", str(path)]) == 0
    )
    (row,) = json.loads(path.read_text())["rows"]
    hours = 135_000 / row["end_to_end"]["fps"] / 3600
    assert row["film"]["hours"] == pytest.approx(hours)
    assert row["film"]["kwh"] == pytest.approx(hours * 0.05)
    assert row["film"]["euros"] == pytest.approx(hours * 0.05 * 0.30)
    shown = capfd.readouterr().out
    assert "90 minutes at 25 fps (135000 frames)" in shown
    assert "draws 50 W, a kWh costs 0.30 €" in shown
