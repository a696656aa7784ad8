"""Upscaling pipelines of diffusers: what they give is what diffusers gives, the same for a frame wherever it comes."""

import json
import shutil
import socket
import warnings
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support import pipelines
from torch import Tensor

from vsr.cli.main import run
from vsr.engine.device import Placement
from vsr.engine.engine import Engine
from vsr.engine.executor import choose_executor
from vsr.engine.memory import step_bytes
from vsr.errors import ConfigError, ModelError
from vsr.frames import Frame, PictureFormat
from vsr.models import load
from vsr.models.chain import Verdict, make_chain
from vsr.models.files.diffusion import with_sampling
from vsr.options import EngineOptions, ModelOptions

pytest.importorskip("diffusers", reason="diffusers is not installed (pip install 'vsr[diffusion]')")
pytest.importorskip("transformers", reason="transformers is not installed (pip install 'vsr[diffusion]')")

# diffusers 0.42 itself, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

KINDS: dict[str, Callable[[Path], Path]] = {
    "LDMSuperResolutionPipeline": pipelines.save_ldm,
    "StableDiffusionUpscalePipeline": pipelines.save_guided,
    "StableDiffusionLatentUpscalePipeline": pipelines.save_latent,
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pipelines, by the name of their class; to be left as it is."""
    folder = tmp_path_factory.mktemp("pipelines")
    for name, save in KINDS.items():
        save(folder / name)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A pipeline without text, to be spoiled."""
    return shutil.copytree(saved / "LDMSuperResolutionPipeline", tmp_path / "upscaler")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may ask the network."""

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def theirs(folder: Path, x: Tensor, *, steps: int, seed: int) -> Tensor:
    """What diffusers itself makes of a picture."""
    import diffusers

    generator = torch.Generator().manual_seed(seed)
    text = {} if folder.name.startswith("LDM") else {"prompt": "", "guidance_scale": 1.0}
    image = 2 * x - 1 if folder.name.startswith("LDM") else x
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = getattr(diffusers, folder.name).from_pretrained(folder, local_files_only=True)
        pipeline.set_progress_bar_config(disable=True)
        out = pipeline(
            image=image, num_inference_steps=steps, generator=generator, output_type="np", **text
        ).images
    return torch.from_numpy(np.asarray(out)).permute(0, 3, 1, 2)


def picture(seed: int, height: int = 16, width: int = 16) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def frame(seed: int, height: int = 16, width: int = 16) -> Frame:
    pixels = (picture(seed, height, width)[0] * 255).to(torch.uint8).numpy()
    return Frame(
        tuple(pixels), PictureFormat(height, width, layout="rgb", range="full", matrix="gbr"), pts=seed
    )


@pytest.mark.parametrize("name", KINDS)
def test_a_pipeline_gives_what_diffusers_gives(saved, name):
    model = with_sampling(load(str(saved / name)), steps=3, seed=7)
    assert model.spec.scale == (2 if "Latent" in name else 4)
    x = picture(1, 16, 32)
    with torch.inference_mode():
        ours, _ = model.network.step(x[:, None], None, torch.ones(1, dtype=torch.bool))
    torch.testing.assert_close(ours[:, 0], theirs(saved / name, x, steps=3, seed=7), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_a_frame_is_the_same_wherever_a_run_begins(saved, name):
    """So a resumed job makes what an uninterrupted one makes, and what stands still does not flicker."""
    model = with_sampling(load(str(saved / name)), steps=2, seed=0)

    def enhanced(*seeds: int) -> list[np.ndarray]:
        engine = Engine([model], EngineOptions(device="cpu", threads=1))
        return [np.stack(out.planes) for out in engine.run(frame(seed) for seed in seeds)]

    whole = enhanced(1, 2, 3, 1)
    assert whole[0].shape == (3, 16 * model.spec.scale, 16 * model.spec.scale)
    np.testing.assert_array_equal(whole[0], whole[3])
    np.testing.assert_array_equal(whole[2:], enhanced(3, 1))
    assert not np.array_equal(whole[0], whole[1])


def test_threads_at_once_and_batches_make_the_same(saved):
    model = with_sampling(load(str(saved / "LDMSuperResolutionPipeline")), steps=2, seed=0)

    def enhanced(threads: int, batch: int) -> np.ndarray:
        engine = Engine([model], EngineOptions(device="cpu", threads=threads, batch=batch))
        return np.stack(
            [np.stack(out.planes) for out in engine.run(frame(seed) for seed in range(6))]
        ).astype(int)

    one = enhanced(1, 1)
    assert np.abs(one - enhanced(4, 1)).max() <= 1
    assert np.abs(one - enhanced(1, 3)).max() <= 1


def test_a_scheduler_that_adds_noise_takes_it_from_the_seed_too(folder):
    """DDPM's steps draw noise, and this pipeline would let them draw it from everybody's generator."""
    pipelines.change(folder, "model_index.json", scheduler=["diffusers", "DDPMScheduler"])
    model = with_sampling(load(str(folder)), steps=3, seed=0)
    first, second, other = (
        net.step(picture(1)[:, None], None, torch.ones(1))[0]
        for net in (model.network, model.network, with_sampling(model, steps=3, seed=1).network)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_steps_and_seed_are_options_for_diffusion_alone(saved):
    name = str(saved / "LDMSuperResolutionPipeline")
    clean = Verdict(is_real=False, why="")
    (whole,) = make_chain(ModelOptions(model=(name,)), None, clean).models
    (short,) = make_chain(ModelOptions(model=(name,), steps=10, seed=3), None, clean).models
    assert short.spec.name == "LDMSuperResolutionPipeline (steps 10, seed 3)"
    assert short.spec.kflop_per_pixel == pytest.approx(whole.spec.kflop_per_pixel / 10)
    with pytest.raises(ConfigError, match=r"steps and seed are for diffusion models, and fast-x2 is none"):
        make_chain(ModelOptions(model=("fast-x2",), seed=3), None, clean)


def test_a_clip_goes_through_the_command(folder, make_clip, tmp_path, monkeypatch):
    clip = make_clip(num_frames=3, size=(24, 40))
    monkeypatch.chdir(folder.parent)
    out = tmp_path / "large.mkv"
    assert run(["enhance", str(clip), "-o", str(out), "--model", "upscaler", "--steps", "1", "--quiet"]) == 0
    with av.open(str(out)) as file:
        assert [(picture.height, picture.width) for picture in file.decode(video=0)] == [(96, 160)] * 3


def test_a_pipeline_has_a_card(saved, capsys):
    assert run(["models", "show", str(saved / "LDMSuperResolutionPipeline"), "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert (card["scale"], card["sees"], card["tiles"], card["network"]) == (
        4,
        "RGB",
        "bounded",
        "LDMSuperResolutionPipeline",
    )


def test_the_engine_knows_what_a_pipeline_needs(saved):
    model = load(str(saved / "LDMSuperResolutionPipeline"))
    # 16 channels on pixels twice as fine, 8 on those four times as fine: 8 * 16 numbers, four times, 4 bytes each.
    assert model.spec.bytes_per_pixel == 4 * 4 * 8 * 16
    assert step_bytes(model.spec, model.network, torch.float32, 10, 10) >= 100 * model.spec.bytes_per_pixel
    gpu = Placement(torch.device("cuda"), "fp16", "")
    assert choose_executor(model, gpu, EngineOptions()) == "eager"


def spoil_weights(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    path = folder / "unet/diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def only_pickles(folder: Path) -> None:
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    torch.save({}, folder / "unet/diffusion_pytorch_model.bin")


def truncated(folder: Path) -> None:
    path = folder / "unet/diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def own_code(folder: Path) -> None:
    (folder / "unet/mine.py").write_text("import pathlib\npathlib.Path('ran').touch()\nclass Net: pass\n")
    pipelines.change(folder, "model_index.json", unet=["mine", "Net"])


def misfit(folder: Path) -> None:
    import diffusers

    settings = json.loads((folder / "unet/config.json").read_text())
    diffusers.UNet2DModel.from_config(settings | {"in_channels": 5}).save_pretrained(folder / "unet")


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "another pipeline": (
        lambda folder: pipelines.change(folder, "model_index.json", _class_name="FluxPipeline"),
        r"upscaler is a FluxPipeline; LDMSuperResolutionPipeline, .* are accepted",
    ),
    "a pipeline of its own": (
        lambda folder: pipelines.change(folder, "model_index.json", _class_name=["pipeline", "Mine"]),
        r"are accepted",
    ),
    "a network of its own": (own_code, r"unet is mine\.Net; diffusers\.UNet2DModel is expected"),
    "no index": (
        lambda folder: (folder / "model_index.json").unlink(),
        r"is a folder without model_index\.json",
    ),
    "no JSON": (
        lambda folder: (folder / "model_index.json").write_text("{"),
        r"model_index\.json cannot be read",
    ),
    "a list": (
        lambda folder: (folder / "model_index.json").write_text("[]"),
        r"model_index\.json holds no table",
    ),
    "a part not listed": (
        lambda folder: pipelines.change(folder, "model_index.json", unet=None),
        r"model_index\.json lists no unet",
    ),
    "a part missing": (lambda folder: shutil.rmtree(folder / "vqvae"), r"the subfolder vqvae is missing"),
    "no scheduler": (
        lambda folder: pipelines.change(folder, "model_index.json", scheduler=["diffusers", "UNet2DModel"]),
        r"scheduler is UNet2DModel, which is no scheduler",
    ),
    "a scheduler without settings": (
        lambda folder: (folder / "scheduler/scheduler_config.json").unlink(),
        r"scheduler_config\.json cannot be read",
    ),
    "pickles": (only_pickles, r"unet holds no \.safetensors file; other kinds could run code"),
    "truncated": (truncated, r"unet cannot be read"),
    "no numbers": (
        lambda folder: spoil_weights(folder, lambda tensors: tensors["conv_in.weight"].fill_(torch.nan)),
        r"unet is damaged: conv_in\.weight holds values that are no numbers",
    ),
    "a tensor missing": (
        lambda folder: spoil_weights(folder, lambda tensors: tensors.pop("conv_in.weight")),
        r"unet lacks conv_in\.weight",
    ),
    "a tensor of another shape": (
        lambda folder: spoil_weights(
            folder, lambda tensors: tensors.update({"conv_in.weight": torch.zeros(1)})
        ),
        r"unet cannot be read",
    ),
    "a claim of terabytes": (
        lambda folder: pipelines.change(folder, "unet/config.json", block_out_channels=[1 << 18, 1 << 18]),
        r"unet claims \d{13,} numbers, and its files have \d+ bytes",
    ),
    "parts that do not fit": (misfit, r"the parts of upscaler do not fit each other"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_missing_damaged_or_could_run_code_is_refused_in_a_line(folder, name, monkeypatch):
    monkeypatch.chdir(folder)
    spoil, why = HOSTILE[name]
    spoil(folder)
    with pytest.raises(ModelError, match=why) as caught:
        load(str(folder))
    assert "\n" not in str(caught.value)
    assert not (folder / "ran").exists()
