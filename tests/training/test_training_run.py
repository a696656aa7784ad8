"""Runs with a critic, with a book, with pictures kept for validation, and of several processes."""

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import vsr
from vsr.errors import ConfigError, ModelError, SourceError
from vsr.frames import Frame, PictureFormat
from vsr.quality.metrics import luma_psnr
from vsr.training import loop
from vsr.training.data.batches import batches, find_data
from vsr.training.data.footage import read_picture
from vsr.training.loop import TrainingProgress, train
from vsr.training.networks import Unrolled, build, predict
from vsr.training.options import LossOptions, TrainOptions
from vsr.training.processes import ProcessGroup, process_group
from vsr.training.training_run import begin
from vsr.training.validation import trials, validate

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")


def draw(folder: Path, name: str, height: int, width: int) -> None:
    """A picture with edges, detail and grain, different for every name."""
    rng = np.random.default_rng(sum(name.encode()))
    pixels = rng.integers(60, 120, (height, width, 3)).astype(np.uint8)
    for _ in range(30):
        corner, size = rng.integers(0, max(height, width), 2), rng.integers(5, 25, 2)
        color = tuple(int(c) for c in rng.integers(0, 256, 3))
        cv2.rectangle(pixels, tuple(map(int, corner)), tuple(map(int, corner + size)), color, -1)
    folder.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(folder / name), pixels)


@pytest.fixture
def options(tmp_path: Path) -> TrainOptions:
    """Twelve steps of a tiny network with a tiny critic."""
    draw(tmp_path / "data", "one.png", 64, 80)
    draw(tmp_path / "data", "two.png", 50, 60)
    return TrainOptions(
        data=(str(tmp_path / "data"),),
        out=str(tmp_path / "out" / "tiny.safetensors"),
        channels=4,
        depth=1,
        steps=12,
        batch=4,
        patch=16,
        warmup=3,
        ema=0.9,
        threads=1,
        device="cpu",
        precision="fp32",
        losses=LossOptions(adversarial=0.1, feature_matching=0.1, critic_channels=4),
    )


def state_of(options: TrainOptions) -> dict[str, Any]:
    return torch.load(Path(options.out).with_suffix(".state.pt"), weights_only=True)


def book_of(options: TrainOptions) -> list[dict[str, float]]:
    lines = (Path(options.out).with_suffix(".log") / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def difference(a: dict[str, Any], b: dict[str, Any], part: str) -> float:
    """Of two states the largest difference of a weight, relative to the largest of its tensor."""
    weights = [(value, b[part][key]) for key, value in a[part].items() if key != "ranges"]
    return max(float((one - two).abs().max() / one.abs().max()) for one, two in weights)


class KilledError(Exception):
    """Stands for the power cut."""


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_adversarial_run_that_was_killed_and_resumed_equals_one_straight_through(
    options, monkeypatch, tmp_path, precision
):
    options = replace(options, precision=precision)
    straight = replace(options, out=str(tmp_path / "straight.safetensors"))
    train(straight)

    def kill(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_network", kill)  # after the first state has been saved
        with pytest.raises(KilledError):
            train(replace(options, checkpoint_every_s=0))
    assert state_of(options)["step"] == 1
    train(options)
    one, two = state_of(straight), state_of(options)
    for part in ("net", "mean", "critic"):
        assert all(torch.equal(one[part][key], two[part][key]) for key in one[part]), part
    moments = [state["critic_optimizer"]["state"] for state in (one, two)]
    assert all(torch.equal(moments[0][n]["exp_avg"], moments[1][n]["exp_avg"]) for n in moments[0])


def test_the_critic_learns_and_changes_what_the_network_learns(options, tmp_path):
    train(options)
    plain = replace(options, losses=LossOptions(), out=str(tmp_path / "plain.safetensors"))
    train(plain)
    fresh = begin(options, [], ProcessGroup(0, 1, CPU)).rival
    assert fresh is not None
    learnt = state_of(options)["critic"]
    assert not torch.equal(learnt["head.weight"], fresh.critic.state_dict()["head.weight"])
    assert "critic" not in state_of(plain)
    assert not torch.equal(load_file(plain.out)["tail.weight"], load_file(options.out)["tail.weight"])


@pytest.mark.parametrize("network", ["plain", "recurrent", "unet"])
def test_every_network_learns_by_every_loss_that_suits_it(options, network):
    losses = replace(options.losses, l1=0.1, fft=0.1, temporal=0.1 if network == "recurrent" else 0.0)
    scale = 1 if network == "unet" else 2
    options = replace(options, network=network, scale=scale, steps=2, frames=3, colors=3, losses=losses)
    assert train(options).exists()


def test_losses_are_reported_and_noted_by_name(options, monkeypatch):
    monkeypatch.setattr(loop, "REPORT_EVERY", 4)
    reports: list[TrainingProgress] = []
    train(options, report=reports.append)
    assert [report.step for report in reports] == [4, 8, 12]
    last, line = reports[-1], book_of(options)[-1]
    names = {"charbonnier", "adversarial", "feature_matching", "critic"}
    assert last.parts.keys() == names
    weighted = last.parts["charbonnier"] + 0.1 * (last.parts["adversarial"] + last.parts["feature_matching"])
    assert last.loss == pytest.approx(weighted, rel=1e-4)
    assert line.keys() == names | {"step", "loss", "learning_rate", "steps_per_s"}
    assert (line["step"], line["loss"]) == (12, last.loss)
    assert last.psnr is None


def test_another_weight_of_a_loss_is_another_run(options):
    train(options)
    with pytest.raises(ConfigError, match="other losses"):
        train(replace(options, losses=replace(options.losses, fft=0.1)))


def test_a_vgg_file_that_is_not_there_is_named(options, tmp_path):
    losses = LossOptions(perceptual=1.0, vgg=str(tmp_path / "vgg19.pth"))
    with pytest.raises(ModelError, match=r"vgg19\.pth does not exist"):
        train(replace(options, losses=losses))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"patch": 9}, "18 pixels; it needs a multiple of 8"),
        ({"patch": 7, "losses": LossOptions(perceptual=1.0, vgg="x")}, "14 pixels; it needs 16"),
        ({"losses": LossOptions(temporal=1.0)}, "a recurrent network alone"),
        ({"validate_every": 0}, "validate_every"),
    ],
)
def test_losses_that_do_not_suit_the_run_are_refused_in_words(options, values, reason):
    with pytest.raises(ConfigError, match=reason):
        replace(options, **values)


def test_validation_measures_the_running_mean_and_keeps_samples(options, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "REPORT_EVERY", 6)
    draw(tmp_path / "kept", "bird.png", 48, 70)
    reports: list[TrainingProgress] = []
    options = replace(options, validate=(str(tmp_path / "kept"),), validate_every=6)
    train(options, report=reports.append)
    noted = {line["step"]: line["psnr"] for line in book_of(options) if "psnr" in line}
    assert [report.psnr for report in reports] == [noted[6], noted[12]]
    published = build(options)
    published.load_state_dict(load_file(options.out))
    assert validate(published, trials(options), CPU)[0] == {"psnr": noted[12]}
    samples = sorted(path.name for path in (Path(options.out).with_suffix(".log") / "samples").iterdir())
    assert samples == ["bird-0000006.png", "bird-0000012.png"]


def test_without_validation_samples_are_of_a_patch(options):
    train(options)
    folder = Path(options.out).with_suffix(".log") / "samples"
    assert [path.name for path in folder.iterdir()] == ["patch-0000012.png"]
    assert cv2.imread(str(folder / "patch-0000012.png")).shape == (32, 3 * 32 + 8, 3)


def test_validation_changes_nothing_that_is_learnt(options, tmp_path):
    draw(tmp_path / "kept", "bird.png", 48, 70)
    looked = replace(
        options, validate=(str(tmp_path / "kept"),), validate_every=1, out=str(tmp_path / "b.safetensors")
    )
    one, two = load_file(train(options)), load_file(train(looked))
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("colors", [1, 3])
def test_validation_measures_as_papers_do(options, tmp_path, colors):
    draw(tmp_path / "kept", "bird.png", 48, 80)
    options = replace(options, validate=(str(tmp_path / "kept"),), colors=colors)
    net = build(options)
    scores, samples = validate(net, trials(options), CPU)
    (trial,) = trials(options)
    rgb = read_picture(tmp_path / "kept" / "bird.png")[0]
    enlarged = predict(Unrolled(net), trial.batch, bf16=False)[0][0, 0].detach().clamp(0, 1).numpy()
    format = PictureFormat(48, 80, bit_depth=16, layout="rgb" if colors == 3 else "gray", range="full")
    frames = [
        Frame(tuple((plane * 65535).round().astype(np.uint16) for plane in planes), format)
        for planes in (enlarged, trial.batch.high[0, 0].numpy())
    ]
    assert scores["psnr"] == pytest.approx(luma_psnr(*frames, border=2), abs=1e-3)
    assert np.array_equal(samples["bird"][:, -80:, ::-1], rgb) or colors == 1


def test_a_folder_to_validate_on_that_is_not_there_is_named(options):
    with pytest.raises(SourceError, match="nowhere"):
        train(replace(options, validate=("nowhere",)))


def toml_of(options: TrainOptions) -> str:
    values = asdict(options)
    losses, values["from"] = values.pop("losses"), values.pop("start_from")
    table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in losses.items())
    return (
        "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items()) + f"\n[losses]\n{table}\n"
    )


SCRIPT = """
import sys, torch
from vsr.cli.main import run
from vsr.training import loop
from vsr.training.processes import rank

def learn_and_keep(ours, *rest, learn=loop._learn):
    learn(ours, *rest)
    torch.save({"net": ours.net.state_dict(), "critic": ours.rival.critic.state_dict()}, f"{rank()}.pt")

loop._learn = learn_and_keep
sys.exit(run(["train", "both.toml"]))
"""


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_the_whole_batch(options, tmp_path):
    train(options)
    both = replace(options, out=str(tmp_path / "both.safetensors"), validate=options.data)
    (tmp_path / "both.toml").write_text(toml_of(both))
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "script.py",
    ]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]

    one, two = state_of(options), state_of(both)
    assert difference(one, two, "net") < 1e-4
    assert difference(one, two, "mean") < 1e-4
    assert difference(one, two, "critic") < 1e-2  # Adam makes much of its smallest gradients
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for part in ("net", "critic"):
        assert all(torch.equal(ranks[0][part][key], ranks[1][part][key]) for key in two[part]), part
    assert done.stderr.count("both.safetensors: ") == 1
    assert len(list((tmp_path / "both.log").glob("events.*"))) == 1


def test_the_command_runs_as_a_module_which_is_what_the_launcher_starts():
    done = subprocess.run(
        [sys.executable, "-m", "vsr", "--version"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.strip()) == (0, vsr.__version__)


def test_processes_share_out_a_batch_and_leave_nothing_of_it(options):
    def batch(**which: int) -> torch.Tensor:
        with closing(batches(find_data(options), options, first=3, **which)) as examples:
            return next(examples).low

    whole, parts = batch(), [batch(rank=rank, world=2) for rank in range(2)]
    assert torch.equal(torch.stack(parts, 1).flatten(0, 1), whole)


def test_a_batch_that_cannot_be_shared_evenly_is_refused_in_words(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="batch 16 cannot be shared evenly by 3"), process_group(CPU, 16):
        pass
