from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from vsr.engine.engine import Engine
from vsr.errors import ConfigError, ModelError, SourceError
from vsr.frames import Frame, PictureFormat
from vsr.models import catalogue
from vsr.models.spec import Model
from vsr.options import EngineOptions
from vsr.training import loop
from vsr.training.data.batches import batches, find_data
from vsr.training.data.degrade import cleanly
from vsr.training.data.footage import read_picture
from vsr.training.loop import TrainingProgress, learning_rate, train
from vsr.training.losses import charbonnier
from vsr.training.options import TrainOptions


def draw(folder: Path, name: str, height: int, width: int) -> None:
    """A picture with edges and detail, different for every name."""
    rng = np.random.default_rng(sum(name.encode()))
    pixels = np.full((4 * height, 4 * width, 3), 90, np.uint8)
    for _ in range(40):
        corner, size = rng.integers(0, 4 * max(height, width), 2), rng.integers(20, 90, 2)
        color = tuple(int(c) for c in rng.integers(0, 256, 3))
        cv2.rectangle(pixels, tuple(map(int, corner)), tuple(map(int, corner + size)), color, -1)
    pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    folder.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(folder / name), pixels)


@pytest.fixture
def options(tmp_path: Path) -> TrainOptions:
    """Forty steps of a network of a few hundred weights on three pictures."""
    draw(tmp_path / "data", "one.png", 64, 80)
    draw(tmp_path / "data", "two.jpg", 49, 51)
    draw(tmp_path / "data" / "below", "three.PNG", 40, 90)
    return TrainOptions(
        data=(str(tmp_path / "data"),),
        out=str(tmp_path / "out" / "tiny.safetensors"),
        channels=4,
        depth=1,
        steps=40,
        batch=4,
        patch=12,
        warmup=5,
        ema=0.9,
        threads=1,
    )


RNG = np.random.default_rng(0)


def first_batch(options: TrainOptions, **which: int) -> tuple[torch.Tensor, torch.Tensor]:
    with closing(batches(find_data(options), options, **({"first": 0} | which))) as examples:
        batch = next(examples)
    return batch.low, batch.high


class KilledError(Exception):
    """Stands for the power cut."""


def killed_after(num_saves: int, save: Callable[..., None]) -> Callable[..., None]:
    """`save`, whose call number `num_saves` ends the run before anything is written."""
    calls = [0]

    def saving(*arguments: object) -> None:
        calls[0] += 1
        if calls[0] == num_saves:
            raise KilledError
        save(*arguments)

    return saving


def assert_same(a: Path, b: Path) -> None:
    one, two = load_file(a), load_file(b)
    assert one.keys() == two.keys()
    for key in one:
        assert torch.equal(one[key], two[key]), key


@pytest.mark.parametrize("target", ["save_network", "torch.save"])
def test_a_run_that_was_killed_and_resumed_equals_one_straight_through(
    options, monkeypatch, tmp_path, target
):
    straight = train(replace(options, out=str(tmp_path / "straight.safetensors")))
    often = replace(options, checkpoint_every_s=0)
    with monkeypatch.context() as patch:
        owner, name = (torch, "save") if target == "torch.save" else (loop, target)
        patch.setattr(owner, name, killed_after(20, getattr(owner, name)))
        with pytest.raises(KilledError):
            train(often)
    state = torch.load(Path(options.out).with_suffix(".state.pt"), weights_only=True)
    assert state["step"] == (20 if target == "save_network" else 19)
    assert_same(train(often), straight)
    assert not list(Path(options.out).parent.glob("*.partial"))


def test_a_finished_run_is_not_run_again(options):
    first = load_file(train(options))
    assert all(torch.equal(value, first[key]) for key, value in load_file(train(options)).items())


def test_a_state_of_other_options_is_neither_taken_up_nor_overwritten(options):
    path = train(replace(options, steps=10))
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="other steps"):
        train(options)
    assert path.read_bytes() == before


def test_the_seed_decides(options, tmp_path):
    one, same, other = (
        train(replace(options, out=str(tmp_path / f"{name}.safetensors"), seed=seed, steps=5))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert_same(one, same)
    assert not torch.equal(load_file(one)["body.0.weight"], load_file(other)["body.0.weight"])


def test_loss_decreases_and_is_reported(options, tmp_path):
    draw(tmp_path / "single", "one patch.png", 32, 32)
    reports: list[TrainingProgress] = []
    data = (str(tmp_path / "single"),)
    train(replace(options, data=data, steps=1000, batch=1, patch=16), report=reports.append)
    assert [report.step for report in reports] == [500, 1000]
    assert all(report.steps == 1000 and report.steps_per_s > 0 for report in reports)
    assert reports[1].loss < 0.98 * reports[0].loss


def test_the_loss_of_a_resumed_run_is_the_mean_of_its_own_steps(options):
    whole: list[TrainingProgress] = []
    rest: list[TrainingProgress] = []
    short = replace(options, steps=500, batch=1)
    train(short, report=whole.append)
    path = Path(options.out).with_suffix(".state.pt")
    torch.save(torch.load(path, weights_only=True) | {"step": 480}, path)
    train(short, report=rest.append)
    assert rest[0].step == 500
    assert rest[0].loss == pytest.approx(whole[0].loss, rel=0.5)


def enhanced_loss(model: Model, folder: Path) -> float:
    high = read_picture(folder / "one.png")
    luma = [(rgb[0] @ np.array([0.299, 0.587, 0.114])) / 255 for rgb in (cleanly(high, 2, RNG), high)]
    low = (luma[0] * 65535).round().astype(np.uint16)
    frame = Frame((low,), PictureFormat(*low.shape, bit_depth=16, layout="gray", range="full"))
    (out,) = Engine([model], EngineOptions(device="cpu", precision="fp32", threads=1)).run([frame])
    return float(charbonnier(torch.from_numpy(out.planes[0] / 65535), torch.from_numpy(luma[1])))


def test_what_was_trained_loads_and_enhances_better_than_the_plain_enlargement(options):
    path = train(replace(options, steps=200, channels=8, batch=8))
    model = catalogue.load(str(path))
    assert isinstance(model.network, nn.Module)
    assert (model.spec.name, model.spec.scale, model.spec.in_channels) == ("tiny", 2, 1)
    folder = Path(options.data[0])
    assert enhanced_loss(model, folder) < enhanced_loss(catalogue.load("bicubic-x2"), folder)


@pytest.mark.parametrize("scale", [1, 3, 4])
def test_every_scale_trains(options, scale):
    model = catalogue.load(str(train(replace(options, steps=2, scale=scale, patch=9))))
    assert model.spec.scale == scale


def test_a_folder_that_is_not_there_is_named(options, tmp_path):
    with pytest.raises(SourceError, match=r"nowhere does not exist"):
        train(replace(options, data=(str(tmp_path / "nowhere"),)))


def test_a_folder_without_pictures_is_named_with_what_is_read(options, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no picture")
    with pytest.raises(SourceError, match=r"no picture in .*empty; .*\.png"):
        train(replace(options, data=(str(tmp_path / "empty"),)))


def test_a_file_that_is_no_picture_is_named(options, tmp_path):
    (tmp_path / "data" / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(SourceError, match=r"broken\.png cannot be read"):
        train(options)


@pytest.mark.parametrize("patch", [100, 45])
def test_pictures_that_are_all_too_small_are_refused_in_words(options, patch):
    with pytest.raises(SourceError, match=rf"every picture is smaller than a patch, {2 * patch}x{2 * patch}"):
        train(replace(options, patch=patch))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2)])
def test_tiny_pictures_beside_large_ones_do_no_harm(options, size):
    draw(Path(options.data[0]), "icon.png", *size)
    assert train(replace(options, steps=2, scale=4, patch=8)).exists()


def test_patches_of_both_sizes_show_the_same_place(options):
    low, high = first_batch(replace(options, batch=16, seed=3), first=7)
    assert low.shape == (16, 1, 1, 12, 12)
    assert high.shape == (16, 1, 1, 24, 24)
    reduced = nn.functional.interpolate(high[:, 0], size=(12, 12), mode="bicubic", antialias=True)
    assert (reduced - low[:, 0])[..., 3:-3, 3:-3].abs().max() < 0.01
    assert torch.equal(first_batch(replace(options, batch=16, seed=3), first=7)[0], low)


def test_learning_rate_rises_and_falls_to_nothing(options):
    rates = [learning_rate(step, options) for step in range(options.steps)]
    assert rates[:5] == pytest.approx([options.learning_rate * (n + 1) / 5 for n in range(5)])
    assert max(rates) == options.learning_rate
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] < 0.01 * options.learning_rate


def test_another_scale_starts_from_the_layers_of_the_first(options, tmp_path):
    first = load_file(train(options))
    other = replace(options, scale=3, steps=1, learning_rate=1e-9, start_from=options.out, patch=8)
    grown = load_file(train(replace(other, out=str(tmp_path / "x3.safetensors"))))
    assert torch.allclose(grown["body.1.weight"], first["body.1.weight"], atol=1e-4)
    assert grown["tail.weight"].shape[0] == 9


def test_a_model_without_a_layer_in_common_is_refused(options):
    with pytest.raises(ModelError, match="no layer in common"):
        train(replace(options, start_from="bicubic-x2"))
