"""Networks on planes, for real footage: what they learn from, and that `train` makes one that the engine runs."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from vsr.engine import from_packed
from vsr.engine.engine import Engine
from vsr.errors import ConfigError, SourceError
from vsr.frames import Frame, PictureFormat
from vsr.models import NEIGHBOURED, NOISE_SPAN, PACKED, TOLD, PlanesNet, load, read_model
from vsr.models.networks.compact import CompactNet
from vsr.options import EngineOptions
from vsr.quality import DAMAGE_TABLE
from vsr.training import loop
from vsr.training.batch import Batch
from vsr.training.calibration import calibrate_checkpoint
from vsr.training.data import degrade, examples
from vsr.training.data.batches import batches, find_data
from vsr.training.data.grain import NoiseKind, noisy
from vsr.training.data.storage import as_video
from vsr.training.loop import TrainingProgress, train
from vsr.training.networks import Unrolled, build, enlarged, predict
from vsr.training.options import LossOptions, TrainOptions
from vsr.training.validation import trials, validate
from vsr.training.warm_start import take_over

CPU = torch.device("cpu")


def draw(path: Path, height: int, width: int) -> None:
    """Rectangles with sharp edges, different for every name."""
    rng = np.random.default_rng(sum(path.name.encode()))
    pixels = np.full((height, width, 3), 110, np.uint8)
    for _ in range(height * width // 120):
        corner, size = rng.integers(0, max(height, width), 2), rng.integers(4, 22, 2)
        color = tuple(int(c) for c in rng.integers(0, 256, 3))
        cv2.rectangle(pixels, tuple(map(int, corner)), tuple(map(int, corner + size)), color, -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


@pytest.fixture
def options(tmp_path: Path) -> TrainOptions:
    """Ten steps of a tiny network on six pictures, at x1 and x2."""
    for n in range(6):
        draw(tmp_path / "data" / f"{n}.png", 64 + 4 * n, 80)
    return TrainOptions(
        out=str(tmp_path / "out" / "tiny.safetensors"),
        data=(str(tmp_path / "data"),),
        network="planes",
        degradation="real",
        channels=8,
        depth=1,
        scale_shares=(0.5, 0.5, 0, 0),
        renew=5,
        steps=10,
        batch=4,
        patch=16,
        learning_rate=2e-3,
        warmup=3,
        ema=0.9,
        threads=1,
        device="cpu",
        precision="fp32",
    )


def some_batches(options: TrainOptions, num: int, *, first: int = 0) -> list[Batch]:
    with closing(batches(find_data(options), options, first=first)) as endless:
        return [next(endless) for _ in range(num)]


# What is learnt from


def test_batches_are_of_one_scale_each_and_all_scales_come(options):
    options = replace(options, scale_shares=(1, 1, 1, 1), patch=12, renew=2)
    found = some_batches(options, 16)
    for batch in found:
        assert batch.low.shape == (4, 1, 8, 6, 6)
        assert batch.high.shape == (4, 1, PACKED, 6 * batch.scale, 6 * batch.scale)
        assert batch.packed
    assert {batch.scale for batch in found} == {1, 2, 3, 4}
    assert {batch.siting for batch in found} == {"left", "center"}


def test_a_resumed_run_sees_the_same_batches(options):
    straight, again = some_batches(options, 7)[-1], some_batches(options, 1, first=6)[0]
    assert torch.equal(straight.low, again.low)
    assert torch.equal(straight.high, again.high)
    assert straight.siting == again.siting


def test_a_clean_example_shows_its_original_and_is_told_nothing(options, monkeypatch):
    monkeypatch.setattr(degrade, "CLEAN", 1.0)
    for batch in some_batches(replace(options, renew=1), 8):
        assert (batch.low[:, :, PACKED:] == 0).all()
        error = (enlarged(batch) - batch.high).abs().mean((0, 1, 3, 4))
        most = 0.005 if batch.scale == 1 else 0.06
        assert error.max() < most
        away = (enlarged(batch).roll(1, 4) - batch.high).abs().mean((0, 1, 3, 4))
        assert (error < away).all()


def test_what_is_told_is_what_was_done_give_or_take_a_measurement(options, monkeypatch):
    monkeypatch.setattr(degrade, "CLEAN", 0.0)
    seen: list[tuple[float, float]] = []
    make = examples.spoil

    def spoil(*arguments):
        spoilt = make(*arguments)
        seen.append((spoilt.damage.noise, spoilt.damage.compression))
        return spoilt

    monkeypatch.setattr(examples, "spoil", spoil)
    monkeypatch.setattr(examples, "_REMEMBERED", 0.0)
    (batch,) = some_batches(replace(options, renew=0, batch=24), 1)
    for noise, compression in batch.low[:, 0, PACKED:, 0, 0].tolist():
        assert any(
            0.799 * true <= NOISE_SPAN * noise <= 1.201 * true and abs(strength - compression) < 0.25
            for true, strength in seen
        )
    assert (batch.low[:, :, PACKED:] == batch.low[:, :, PACKED:, :1, :1]).all()


def test_what_is_remembered_has_less_noise_and_is_told_so(options, monkeypatch):
    """Clips of a still camera with noise of σ 20, all shown as a network with a memory sees them."""
    monkeypatch.setattr(degrade, "CLEAN", 0.0)
    monkeypatch.setattr(degrade, "_TWICE", 0.0)
    monkeypatch.setattr(degrade, "_recorded", lambda p, r, at_night: noisy(p, 20, NoiseKind(common=1), r))
    monkeypatch.setattr(degrade, "as_video", lambda p, r, stored=True: as_video(p, r, stored=False))
    still = np.repeat(np.full((1, 96, 96, 3), 120, np.uint8), 7, 0)
    for name, value in (("_FILMED", 1.0), ("_LENGTHS", (7,)), ("_REMEMBERED", 1.0)):
        monkeypatch.setattr(examples, name, value)
    errors, noises = [], []
    for seed in range(8):
        pair = examples.example(
            still, [], replace(options, scale_shares=(1, 0, 0, 0)), np.random.default_rng(seed)
        )
        errors.append(255 * (pair.low[..., :4] - pair.high[..., :4]).astype(float).std())
        noises.append(NOISE_SPAN * float(pair.low[..., PACKED].astype(float).mean()))
    assert min(noises) < 11
    assert max(noises) > 15
    assert np.abs(np.array(errors) / noises - 1).max() < 0.35


def test_a_network_over_time_begins_as_the_one_it_grows_from(options, tmp_path):
    """Trained on, calibrated, and it needs no more than a path to be used."""
    train(options)
    out = str(tmp_path / "out" / "over-time.safetensors")
    grown = replace(options, network="planes-over-time", start_from=options.out, out=out)
    (batch,) = some_batches(grown, 1)
    assert batch.low.shape == (4, 1, NEIGHBOURED, 8, 8)
    net, old = build(grown), read_model(Path(options.out), scale=2).network
    take_over(net, options.out, seed=0)
    net.scale = 2
    shown = torch.rand(1, NEIGHBOURED, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(net(shown), old(shown[:, : PACKED + TOLD]))
    train(grown)
    calibrate_checkpoint(Path(out), options.data)
    model = load(out, scale=2)
    assert (model.spec.context.stateful, model.spec.context.after) == (True, 1)
    assert "int8" in model.spec.dtypes
    take_over(net, out, seed=0)
    assert torch.equal(net.head.weight, load_file(out)["head.weight"])


def a_teacher(path: Path, brighter: float) -> str:
    """A checkpoint that enlarges by 2 without interpolation and adds as much to R, G and B."""
    net = CompactNet(channels=4, depth=1, scale=2)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.body[-1].bias.fill_(brighter)
    save_file(net.state_dict(), path)
    return str(path)


def test_a_teacher_is_learnt_instead_of_the_original(options, monkeypatch, tmp_path):
    monkeypatch.setattr(degrade, "CLEAN", 0.0)  # its input is what the network sees, not the original
    name = a_teacher(tmp_path / "teacher.safetensors", 0.1)
    gains: list[float] = []
    for batch in some_batches(replace(options, teacher=name, patch=32, renew=1), 8):
        seen, shown = (from_packed(planes[:, 0, :PACKED])[0] for planes in (batch.low, batch.high))
        nearest = F.interpolate(seen, scale_factor=batch.scale)
        gains += (shown - nearest)[(nearest - 0.4).abs() < 0.2].tolist()  # far from black and white
    assert len(gains) > 10_000
    assert abs(np.median(gains) - 0.1) < 0.005


def test_a_teacher_must_see_colour_and_reach_every_scale(options, tmp_path):
    name = a_teacher(tmp_path / "teacher.safetensors", 0)
    with pytest.raises(ConfigError, match="cannot teach x3"):
        some_batches(replace(options, teacher=name, scale_shares=(0, 1, 1, 0), patch=12), 1)
    with pytest.raises(ConfigError, match="single frames in R, G, B"):
        some_batches(replace(options, teacher="fast-x2"), 1)


def test_a_critic_learns_beside_planes(options):
    losses = LossOptions(adversarial=0.1, feature_matching=0.1, critic_channels=4)
    reports: list[TrainingProgress] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "REPORT_EVERY", 10)
        train(replace(options, losses=losses), report=reports.append)
    assert reports[-1].parts.keys() == {"charbonnier", "adversarial", "feature_matching", "critic"}


def test_pictures_that_are_all_too_small_are_refused_in_words(options):
    with pytest.raises(SourceError, match="smaller than a patch, 160x160"):
        some_batches(replace(options, patch=80), 1)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"patch": 18}, "multiple of 4"),
        ({"degradation": "bicubic"}, "real alone"),
        ({"scale_shares": (1, 1)}, "four numbers"),
        ({"scale_shares": (0, 0, 0, 0)}, "not all of them 0"),
        ({"network": "plain"}, "planes alone"),
        ({"losses": LossOptions(perceptual=0.1, vgg="vgg19.pth")}, "planes have none"),
        ({"losses": LossOptions(adversarial=0.1), "patch": 20}, "critic 10 pixels"),
        ({"network": "plain", "scale_shares": (), "teacher": "x.pth"}, "planes alone"),
        ({"low": ("x",)}, "plain network alone"),
        ({"beta2": 1.0}, "beta2"),
        ({"clip": 0.0}, "clip"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, values, reason):
    with pytest.raises(ConfigError, match=reason):
        replace(options, **values)


# Learning


def test_a_fresh_network_gives_what_the_engine_gives_without_one(options):
    net = build(options)
    for batch in some_batches(replace(options, renew=1), 4):
        output, target = predict(Unrolled(net), batch, bf16=False)
        assert torch.equal(output, enlarged(batch))
        assert torch.equal(target, batch.high)


def test_loss_decreases_and_the_checkpoint_serves_every_scale(options, monkeypatch):
    monkeypatch.setattr(loop, "REPORT_EVERY", 20)
    monkeypatch.setattr(degrade, "CLEAN", 0.0)
    monkeypatch.setattr(degrade, "_recorded", lambda pictures, rng, at_night: pictures + 60)  # soon learnt
    reports: list[TrainingProgress] = []
    path = train(replace(options, steps=60, renew=60), report=reports.append)
    assert reports[-1].loss < 0.7 * reports[0].loss
    for scale in (1, 2):
        model = read_model(path, scale=scale)
        assert (model.spec.scale, model.spec.packs) == (scale, 2)
        frame = Frame(
            (np.full((32, 40), 180, np.uint8), *(np.full((16, 20), 128, np.uint8) for _ in range(2))),
            PictureFormat(32, 40),
        )
        (out,) = Engine([model], EngineOptions(device="cpu", precision="fp32", threads=1)).run([frame])
        assert (out.format.height, out.format.width) == (32 * scale, 40 * scale)
        assert out.planes[0].mean() < 160  # it takes off what was added


class KilledError(Exception):
    """Stands for the power cut."""


def test_a_run_that_was_killed_and_resumed_equals_one_straight_through(options, monkeypatch, tmp_path):
    straight = train(replace(options, out=str(tmp_path / "straight.safetensors")))
    saved = []

    def kill(*_: object) -> None:
        saved.append(1)
        if len(saved) == 7:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_network", kill)
        with pytest.raises(KilledError):
            train(replace(options, checkpoint_every_s=0))
    one, two = load_file(straight), load_file(train(options))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_another_run_begins_with_what_this_one_knows_also_with_more_scales(options, tmp_path):
    first = load_file(train(options))
    more = replace(
        options,
        out=str(tmp_path / "more.safetensors"),
        start_from=options.out,
        scale_shares=(1, 1, 1, 0),
        learning_rate=1e-9,
        steps=1,
        patch=12,
    )
    second = load_file(train(more))
    shared = [key for key in first if key != "ranges"]
    assert all(torch.allclose(first[key], second[key], atol=1e-6) for key in shared)
    assert "tails.3.weight" in second
    assert not second["tails.3.weight"].any()


# Validation


def test_pictures_kept_back_are_damaged_by_every_row_of_the_table(options, tmp_path):
    draw(tmp_path / "kept" / "bird.png", 75, 83)
    options = replace(options, scale_shares=(0.1, 0.4, 0.1, 0.4), validate=(str(tmp_path / "kept"),))
    found = trials(options)
    rows = [str(row) for row in DAMAGE_TABLE]
    assert [trial.row for trial in found] == [*rows, "x1 noise 8 JPEG 70 blur 0", "x3 noise 8 JPEG 70 blur 0"]
    for trial in found:
        noise, compression = trial.batch.low[0, 0, PACKED:, 0, 0].tolist()
        assert compression == pytest.approx(
            0 if "undegraded" in trial.row else 1 - int(trial.row.split()[4]) / 100
        )
        assert (noise == 0) == ("undegraded" in trial.row)
        again = next(each for each in trials(options) if each.row == trial.row)
        assert torch.equal(trial.batch.low, again.batch.low)


def test_validation_says_what_the_network_gains_in_each_row(options, tmp_path, monkeypatch):
    draw(tmp_path / "kept" / "bird.png", 48, 64)
    options = replace(options, validate=(str(tmp_path / "kept"),))
    tests, net = trials(options), build(options)
    assert isinstance(net, PlanesNet)
    scores, samples = validate(net, tests, CPU)
    rows = [trial.row for trial in tests]
    assert scores.keys() == {"psnr", *(f"gain {row}{plane}" for row in rows for plane in ("", ", chroma"))}
    assert all(scores[f"gain {row}"] == 0 for row in rows)  # fresh, it is the plain enlargement
    assert samples["bird"].shape == (48, 3 * 64 + 8, 3)
    assert (
        np.abs(samples["bird"][:, -64:].astype(int) - cv2.imread(str(tmp_path / "kept" / "bird.png"))).mean()
        < 12
    )
    torch.nn.init.constant_(net.tails["2"].bias, 0.2)  # brighter by far: a loss, at x2 alone
    worse = validate(net, tests, CPU)[0]
    assert all((worse[f"gain {row}"] < -1) == row.startswith("x2") for row in rows)
    monkeypatch.setattr(loop, "REPORT_EVERY", 10)
    reports: list[TrainingProgress] = []
    train(options, report=reports.append)
    assert reports[-1].psnr is not None
