"""One contract suite over every model in the catalogue; checkpoints, published networks, the quality of our own."""

import contextlib
import pickle
import struct
import subprocess
import sys
import tempfile
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.marks import needs_bf16
from support.published import reference_error, set5_psnr
from torch import Tensor

from vsr import color
from vsr.engine.engine import Engine
from vsr.errors import ModelError
from vsr.frames import Frame, PictureFormat
from vsr.models import catalogue
from vsr.models.chain import with_window
from vsr.models.files.checkpoint import read_model, save_network
from vsr.models.networks.compact import CompactNet
from vsr.models.networks.plain import PlainNet
from vsr.models.networks.recurrent import RecurrentNet
from vsr.models.networks.unet import UNet
from vsr.models.spec import Context, Model
from vsr.models.variants.self_ensemble import self_ensemble
from vsr.options import EngineOptions
from vsr.picture import from_planes
from vsr.resample import enlarge
from vsr.training.warm_start import take_over

MADE = {
    "made-recurrent-x2": lambda: RecurrentNet(channels=6, depth=2, scale=2),
    "made-recurrent-rgb-x3": lambda: RecurrentNet(channels=6, depth=1, scale=3, colors=3),
    "made-unet-x1": lambda: UNet(channels=4),
    "made-plain-rgb-x4": lambda: PlainNet(channels=6, depth=2, scale=4, colors=3),
}
"""Networks of every kind with weights that nobody has trained, so that the suite does not wait for those."""

NAMES = [*catalogue.names(), *MADE]


def load(name: str) -> Model:
    if name in MADE:
        return made(name)
    try:
        return catalogue.load(name)
    except ModelError as error:
        if "does not exist" in str(error):
            pytest.skip(f"the weights of {name} are not in this checkout")
        raise


@cache
def made(name: str) -> Model:
    torch.manual_seed(3)
    net = MADE[name]()
    torch.nn.init.normal_(net.tail.weight, std=0.02)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.safetensors"
        save_network(path, net)
        return read_model(path)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def colors_of(model: Model) -> int:
    """Of a picture that shows all that the network does."""
    return 1 if model.spec.in_channels == 1 else 3


def gray(values: Tensor, layout: str = "gray") -> Frame:
    """A frame of 16 bits, so that rounding hides nothing."""
    planes = tuple((plane * 65535).round().numpy().astype(np.uint16) for plane in values)
    height, width = planes[0].shape
    return Frame(
        planes, PictureFormat(height, width, bit_depth=16, layout=layout, range="full", matrix="gbr")
    )


def enhance(model: Model, values: Tensor, **options: object) -> np.ndarray:
    """What the engine makes of one picture (C, H, W), nominal."""
    frame = gray(values, "gray" if len(values) == 1 else "rgb")
    (out,) = Engine([model], EngineOptions(device="cpu", threads=1, **options)).run([frame])  # type: ignore[arg-type]
    return np.stack(out.planes).astype(np.float64) / 65535


def stream(model: Model, clip: Tensor, resets: tuple[int, ...] = ()) -> np.ndarray:
    """What the engine makes of (T, C, H, W), nominal, in fp32."""
    frames = [gray(values, "gray" if len(values) == 1 else "rgb") for values in clip]
    frames = [replace(frame, pts=n, reset=n in resets) for n, frame in enumerate(frames)]
    out = Engine([model], EngineOptions(device="cpu", precision="fp32", threads=1)).run(frames)
    return np.stack([np.stack(frame.planes) for frame in out]).astype(np.float64) / 65535


@torch.inference_mode()
def step(model: Model, frames: Tensor) -> Tensor:
    """One step of the bare network: (B, T, C, H, W) of 0–1 → (B, emit, C, sH, sW)."""
    state = model.network.init_state(frames.shape[0], *frames.shape[-2:])
    fresh = torch.ones(frames.shape[0], dtype=torch.bool)
    return model.network.step(frames * model.spec.value_range, state, fresh)[0] / model.spec.value_range


def window(model: Model, batch: int, height: int, width: int) -> Tensor:
    context, multiple = model.spec.context, model.spec.size_multiple
    height, width = (-(-side // multiple) * multiple for side in (height, width))
    return noise(batch, context.before + context.emit + context.after, model.spec.in_channels, height, width)


@pytest.mark.parametrize("name", NAMES)
class TestEveryModel:
    @pytest.mark.parametrize("size", [(16, 24), (17, 23), (1, 1), (3, 40)])
    def test_gives_the_frames_and_size_that_its_spec_says(self, name, size):
        model = load(name)
        frames = window(model, 2, *size)
        out = step(model, frames)
        height, width = (side * model.spec.scale for side in frames.shape[-2:])
        assert out.shape == (2, model.spec.context.emit, model.spec.out_channels, height, width)
        assert out.isfinite().all()

    def test_enhances_each_of_a_batch_as_if_alone(self, name):
        model = load(name)
        frames = window(model, 3, 20, 28)
        alone = torch.cat([step(model, frame[None]) for frame in frames])
        torch.testing.assert_close(step(model, frames), alone, atol=1e-5, rtol=0)

    def test_gives_the_same_tiled_and_whole(self, name):
        model = load(name)
        picture = noise(colors_of(model), 75, 98, seed=4)
        whole, tiled = (enhance(model, picture, precision="fp32", tile=tile) for tile in ("off", 32))
        bound = 1e-4 if model.spec.halo is not None else 0.02
        assert np.abs(whole - tiled).max() <= bound

    @needs_bf16
    def test_stays_close_in_bf16(self, name):
        model = load(name)
        if "bf16" not in model.spec.dtypes:
            pytest.skip(f"{name} is fp32 alone")
        picture = noise(colors_of(model), 24, 32, seed=5) * 0.5 + 0.25
        exact = enhance(model, picture, precision="fp32")
        error = enhance(model, picture, precision="bf16") - exact
        # Noise is the worst of pictures: networks add up to 0.4 to it, of which bf16 keeps two to three digits.
        assert np.sqrt((error**2).mean()) < 0.003
        assert np.abs(error).max() < 0.03

    def test_keeps_a_flat_picture_flat(self, name):
        if name in MADE:
            pytest.skip("nobody has taught it to")
        model = load(name)
        reach = (
            48 if model.spec.halo is None else min(model.spec.halo * model.spec.packs, 48)
        )  # zeros around the picture are seen so far
        side = 2 * reach + 16
        flat = enhance(model, torch.full((colors_of(model), side, side), 0.5), precision="fp32")
        inside = slice(reach * model.spec.scale, -reach * model.spec.scale)
        assert np.abs(flat[:, inside, inside] - 0.5).max() < 0.02

    def test_looks_across_no_scene(self, name):
        model = load(name)
        clip = noise(6, colors_of(model), 10, 14, seed=6)
        together = stream(model, clip, resets=(2, 5))
        apart = np.concatenate([stream(model, scene) for scene in (clip[:2], clip[2:5], clip[5:])])
        assert np.abs(together - apart).max() <= 1 / 65535

    def test_runs_in_eight_poses(self, name):
        model = load(name)
        clip = (
            noise(3, colors_of(model), 16, 24, seed=7) * 0.5 + 0.25
        )  # no padding, which is on two sides only
        assert 8 % model.spec.size_multiple == 0
        upright, turned = (stream(self_ensemble(model), pose) for pose in (clip, clip.transpose(2, 3)))
        assert np.abs(upright - turned.swapaxes(2, 3)).max() < 2e-4

    def test_takes_every_window_that_it_offers(self, name):
        model = load(name)
        if not model.spec.windows:
            pytest.skip(f"{name} has no choice of windows")
        clip = noise(4, colors_of(model), 16, 24, seed=8)
        outs = [stream(with_window(model, window), clip) for window in model.spec.windows]
        assert all(out.shape == outs[0].shape for out in outs)
        assert len(outs) == 1 or np.abs(outs[0] - outs[-1]).max() > 1e-3

    def test_describes_itself(self, name):
        if name in MADE:
            pytest.skip("it has no place in the catalogue")
        spec = load(name).spec
        assert spec.name == name
        assert spec.licence
        assert spec.trained_on
        assert name == "identity" or name.endswith(f"-x{spec.scale}")


# Checkpoints


def plain(**options: int) -> PlainNet:
    torch.manual_seed(1)
    net = PlainNet(**({"channels": 6, "depth": 2, "scale": 2} | options))
    torch.nn.init.normal_(net.tail.weight, std=0.05)
    return net.eval()


def compact() -> CompactNet:
    torch.manual_seed(2)
    return CompactNet(channels=6, depth=3, scale=4).eval()


def same(model: Model, net: torch.nn.Module) -> bool:
    mine, theirs = model.network.state_dict(), net.state_dict()  # type: ignore[attr-defined]
    return mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)


@pytest.mark.parametrize("options", [{}, {"scale": 3}, {"scale": 1}, {"colors": 3, "scale": 4}, {"depth": 5}])
def test_a_saved_plain_network_comes_back(tmp_path, options):
    net = plain(**options)
    save_network(tmp_path / "mine.safetensors", net)
    model = catalogue.load(str(tmp_path / "mine.safetensors"))
    assert same(model, net)
    assert model.spec.name == "mine"
    assert model.spec.scale == options.get("scale", 2)
    assert model.spec.in_channels == options.get("colors", 1)
    assert model.spec.halo == options.get("depth", 2) + 2
    assert len(model.spec.sha256) == 64


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
@pytest.mark.parametrize("wrapper", ["", "params", "params_ema", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_wrapped_and_prefixed_tensors_are_found(tmp_path, suffix, wrapper, prefix):
    net = compact()
    tensors = {prefix + key: value for key, value in net.state_dict().items()}
    content = {wrapper: tensors, "epoch": 3} if wrapper else tensors
    torch.save(content, tmp_path / f"a{suffix}")
    model = read_model(tmp_path / f"a{suffix}")
    assert same(model, net)
    assert (model.spec.scale, model.spec.in_channels, model.spec.residual) == (4, 3, "nearest")


def test_averaged_weights_are_preferred(tmp_path):
    net = compact()
    other = {key: value + 1 for key, value in net.state_dict().items()}
    torch.save({"params": other, "params_ema": net.state_dict()}, tmp_path / "a.pth")
    assert same(read_model(tmp_path / "a.pth"), net)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_fp16_tensors_are_loaded_as_fp32(tmp_path, suffix):
    net = plain().half()
    path = tmp_path / f"a{suffix}"
    (torch.save if suffix == ".pth" else save_file)(net.state_dict(), path)
    model = read_model(path)
    assert same(model, net.float())
    assert all(value.dtype == torch.float32 for value in model.network.state_dict().values())  # type: ignore[attr-defined]


def test_the_old_format_of_pytorch_is_read(tmp_path):
    torch.save(compact().state_dict(), tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    assert same(read_model(tmp_path / "a.pth"), compact())


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_model(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    return str(caught.value)


class Runs:
    """Unpickling this writes a file."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("new", [True, False])
def test_a_checkpoint_that_would_run_code_is_refused(tmp_path, new):
    content = {"params": compact().state_dict(), "extra": Runs(tmp_path / "proof")}
    torch.save(content, tmp_path / "evil.pth", _use_new_zipfile_serialization=new)
    assert "run code" in refusal(tmp_path / "evil.pth")
    assert not (tmp_path / "proof").exists()


def test_a_bare_pickle_that_would_run_code_is_refused(tmp_path):
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"params": Runs(tmp_path / "proof")}))
    refusal(tmp_path / "evil.pth")
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize(
    "tensors",
    [
        {"conv_first.weight": (8, 3, 3, 3), "conv_first.bias": (8,)},
        {"body.0.weight": (8, 3, 3, 3), "body.1.weight": (8,), "conv_up1.weight": (8, 8, 3, 3)},
        {"body.0.weight": (8, 3, 3, 3), "body.1.weight": (8,), "body.x.weight": (8, 8, 3, 3)},
        {"body.0.weight": (8, 3, 3, 3), "body.1.weight": (8,)},
        {"body.0.weight": (8, 4, 3, 3), "tail.weight": (16, 8, 3, 3)},
        {"body.0.weight": (8, 1, 3, 3), "tail.weight": (7, 8, 3, 3)},
        {"body.0.weight": (8, 1, 3, 3), "tail.weight": ()},
        {"body.0.weight": (8,), "body.1.weight": (8,)},
        {"body.0.weight": (8, 0, 3, 3), "body.1.weight": (8,), "body.2.weight": (16, 8, 3, 3)},
        {"x": (1,)},
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_an_unknown_layout_is_refused_with_what_is_known(tmp_path, tensors, suffix):
    path = tmp_path / f"other{suffix}"
    content = {key: torch.zeros(shape) for key, shape in tensors.items()}
    (torch.save if suffix == ".pth" else save_file)(content, path)
    message = refusal(path)
    assert ("compact" in message and next(iter(tensors)) in message) or "does not fit" in message


def test_weights_that_do_not_fit_their_layout_are_refused(tmp_path):
    tensors = plain().state_dict()
    del tensors["body.1.bias"]
    torch.save(tensors, tmp_path / "a.pth")
    assert "does not fit" in refusal(tmp_path / "a.pth")


def test_a_missing_checkpoint_is_named(tmp_path):
    assert "does not exist" in refusal(tmp_path / "missing.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"hello, this is a text\n" * 40, b"<!DOCTYPE html><html></html>", b"PK\x03\x04broken", b"\x80\x02.",
     b"\x89PNG\r\n\x1a\n" + bytes(100), struct.pack("<Q", 2) + b"{}", bytes(1000), b"\xff" * 64, b"(lp0\n.", b"]."],
)  # fmt: skip
def test_files_that_are_no_checkpoints_are_refused_in_one_line(tmp_path, suffix, content):
    path = tmp_path / f"junk{suffix}"
    path.write_bytes(content)
    message = refusal(path)
    if not content.startswith(b"\x80"):
        assert "run code" not in message


@pytest.mark.parametrize("kind", ["new", "old", "safetensors"])
def test_a_truncated_checkpoint_is_refused_wherever_it_ends(tmp_path, kind):
    path = tmp_path / ("cut.safetensors" if kind == "safetensors" else "cut.pth")
    tensors = compact().state_dict()
    if kind == "safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=kind == "new")
    content = path.read_bytes()
    for part in (
        1,
        7,
        8,
        9,
        60,
        200,
        len(content) // 3,
        len(content) // 2,
        len(content) - 5,
        len(content) - 1,
    ):
        path.write_bytes(content[:part])
        refusal(path)


def test_damaged_checkpoints_never_end_in_anything_but_a_model_error(tmp_path):
    path = tmp_path / "damaged.pth"
    torch.save(plain(channels=2).state_dict(), path)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        broken = bytearray(content)
        for place in rng.integers(0, 700, 3):
            broken[place] = rng.integers(256)
        path.write_bytes(broken)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(ModelError):
                read_model(path)


# Published networks


def test_compact_gives_the_answer_of_the_published_network(tmp_path, test_data):
    model, error = reference_error("compact_general_x4", tmp_path, test_data)
    print(f"compact_general_x4: {error:.1e} of the deviation")
    assert model.spec.residual == "nearest"
    assert error <= 1e-4


@pytest.mark.slow
def test_the_published_anime_video_network_reaches_its_figure_on_set5(test_data):
    model = catalogue.load(str(test_data / "weights/realesrgan/realesr-animevideov3.pth"))
    assert set5_psnr(model, test_data) == pytest.approx(28.23, abs=0.02)


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("nano-x2", 36.6),
        ("nano-x3", 32.5),
        ("nano-x4", 30.3),
        ("fast-x2", 37.1),
        ("fast-x3", 33.1),
        ("fast-x4", 30.8),
        ("base-x2", 37.4),
    ],
)
def test_our_networks_reach_their_figures_on_set5(name, least, test_data):
    assert set5_psnr(load(name), test_data) >= least


# Choosing


def chain(wanted: list[str], factor: float | None) -> list[str]:
    return [model.spec.name for model in catalogue.choose_chain(wanted, factor)]


@pytest.mark.parametrize(
    ("wanted", "factor", "names"),
    [
        ([], None, ["fast-x2"]),
        ([], 2, ["fast-x2"]),
        ([], 1.5, ["fast-x2"]),
        ([], 3, ["fast-x3"]),
        ([], 4, ["fast-x4"]),
        ([], 2.002, ["fast-x2"]),
        ([], 2.25, ["fast-x2"]),
        ([], 4.5, ["fast-x4"]),
        ([], 6, ["fast-x4", "fast-x2"]),
        (["base"], 16, ["base-x4", "base-x4"]),
        (["fast", "bicubic"], 4, ["fast-x2", "bicubic-x2"]),
        ([], 1, []),
        ([], 0.5, []),
        (["fast"], None, ["fast-x2"]),
        (["fast"], 4, ["fast-x4"]),
        (["bicubic"], None, ["bicubic-x2"]),
        (["bicubic"], 3, ["bicubic-x3"]),
        (["bicubic"], 2.25, ["bicubic-x2"]),
        (["bicubic"], 2.75, ["bicubic-x3"]),
        (["bicubic"], 6, ["bicubic-x4", "bicubic-x2"]),
        (["lanczos-x4"], None, ["lanczos-x4"]),
        (["lanczos-x4"], 2, ["lanczos-x4"]),
        (["identity"], None, ["identity"]),
        (["identity"], 2, ["identity"]),
        (["identity", "bicubic"], None, ["identity", "bicubic-x2"]),
        (["identity", "bicubic"], 4, ["identity", "bicubic-x4"]),
        (["bicubic-x2", "lanczos"], 4, ["bicubic-x2", "lanczos-x2"]),
        (["lanczos", "bicubic-x2"], 4, ["lanczos-x2", "bicubic-x2"]),
        (["bicubic-x2", "bicubic-x2"], None, ["bicubic-x2", "bicubic-x2"]),
    ],
)
def test_a_chain_reaches_the_factor_with_the_fewest_models(wanted, factor, names):
    assert chain(wanted, factor) == names


def test_a_checkpoint_can_be_part_of_a_chain(tmp_path):
    save_network(tmp_path / "mine.safetensors", plain(scale=3))
    assert chain([str(tmp_path / "mine.safetensors")], None) == ["mine"]
    assert chain([str(tmp_path / "mine.safetensors"), "bicubic"], 6) == ["mine", "bicubic-x2"]


@pytest.mark.parametrize("name", ["fats", "fast-x7", "bicubic-x9", "", "identity-x2"])
def test_an_unknown_name_is_answered_with_the_names_there_are(name):
    with pytest.raises(ModelError, match=r"is not known.*fast-x2"):
        catalogue.choose_chain([name], 2)


# Networks that look around


def recurrent(**options: int) -> RecurrentNet:
    torch.manual_seed(3)
    net = RecurrentNet(**({"channels": 6, "depth": 2, "scale": 2} | options))
    torch.nn.init.normal_(net.tail.weight, std=0.1)
    return net.eval()


def unet(**options: Any) -> UNet:
    torch.manual_seed(4)
    net = UNet(**({"channels": 4} | options))
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return net.eval()


@pytest.mark.parametrize("options", [{}, {"scale": 3}, {"scale": 1}, {"scale": 4, "colors": 3}, {"depth": 4}])
def test_a_saved_recurrent_network_comes_back(tmp_path, options):
    net = recurrent(**options)
    save_network(tmp_path / "mine.safetensors", net)
    model = catalogue.load(str(tmp_path / "mine.safetensors"))
    assert same(model, net)
    assert model.spec.scale == options.get("scale", 2)
    assert model.spec.in_channels == options.get("colors", 1)
    assert model.spec.context == Context(before=1, after=1, stateful=True)
    assert model.spec.context.latency == 1


@pytest.mark.parametrize(("colors", "told"), [(1, True), (3, True), (3, False)])
def test_a_saved_unet_comes_back(tmp_path, colors, told):
    net = unet(colors=colors, told=told)
    save_network(tmp_path / "mine.safetensors", net)
    model = catalogue.load(str(tmp_path / "mine.safetensors"))
    assert same(model, net)
    assert (model.spec.scale, model.spec.in_channels, model.spec.size_multiple) == (1, colors, 8)
    assert model.spec.context == Context(before=1, after=1)


def test_the_unet_sees_no_further_than_its_halo(tmp_path):
    net = unet()
    save_network(tmp_path / "mine.safetensors", net)
    halo = catalogue.load(str(tmp_path / "mine.safetensors")).spec.halo
    assert halo is not None
    size = 2 * (halo // 8 + 8) * 8
    frames = noise(1, 9, size, size).requires_grad_()
    net(frames)[0, 0, size // 2, size // 2].backward()
    assert frames.grad is not None
    seen = frames.grad.abs().sum((0, 1)).nonzero()
    reach = int(max(size // 2 - seen.min(), seen.max() - size // 2))
    assert 0.75 * halo < reach <= halo


def test_the_unet_takes_a_frame_without_neighbours_for_all_three():
    net, frames, reset = unet(), noise(2, 3, 3, 16, 24), torch.ones(2, dtype=torch.bool)
    middle = frames[:, 1:2]
    alone = net.step(middle, None, reset)[0]
    torch.testing.assert_close(alone, net.step(middle.expand(-1, 3, -1, -1, -1), None, reset)[0])
    assert not torch.allclose(alone, net.step(frames, None, reset)[0])


@torch.inference_mode()
def test_a_recurrent_network_remembers_until_it_is_reset():
    net, frames = recurrent(), noise(1, 3, 1, 12, 16)
    empty = net.init_state(1, 12, 16)
    no, yes = torch.tensor([False]), torch.tensor([True])
    first, memory = net.step(frames, empty, yes)
    second, _ = net.step(frames, memory, no)
    again, _ = net.step(frames, memory, yes)
    assert not torch.allclose(first, second)
    assert torch.equal(first, again)


@torch.inference_mode()
def test_a_streamed_clip_equals_the_whole_clip_bit_for_bit(tmp_path):
    net = recurrent()
    save_network(tmp_path / "mine.safetensors", net)
    model = catalogue.load(str(tmp_path / "mine.safetensors"))
    frames = [gray(noise(1, 50, 58, seed=n)) for n in range(6)]
    streamed = Engine([model], EngineOptions(device="cpu", precision="fp32", threads=1)).run(frames)
    clip = [from_planes(frame, [torch.from_numpy(frame.planes[0])]).luma[0] for frame in frames]
    net.to(memory_format=torch.channels_last)  # as the engine has it; another order sums in another order
    state, whole = net.init_state(1, 50, 58), []
    for t in range(6):
        window = torch.stack([clip[max(t - 1, 0)], clip[t], clip[min(t + 1, 5)]])[None]
        residual, state = net.step(window, state, torch.tensor([t == 0]))
        whole.append(enlarge(clip[t][None], 2) + residual[0])
    for frame, wanted in zip(streamed, whole, strict=True):
        codes = color.to_codes(wanted[0, 0], color.luma_scale(frame.format), 16)
        assert (frame.planes[0] == codes.numpy().view(np.uint16)).all()


# Beginning with another network


@pytest.mark.parametrize("colors", [1, 3])
@torch.inference_mode()
def test_a_network_grown_from_a_narrower_one_begins_as_the_same_function(tmp_path, colors):
    small = plain(depth=3)
    save_network(tmp_path / "small.safetensors", small)
    wide = PlainNet(channels=14, depth=3, scale=2, colors=colors)
    take_over(wide, str(tmp_path / "small.safetensors"), seed=0)
    luma = noise(1, 1, 16, 20)
    torch.testing.assert_close(wide(luma.expand(-1, colors, -1, -1)), small(luma).expand(-1, colors, -1, -1))
    twins = wide.body[1].weight.flatten(1)
    assert (
        len(torch.unique(twins, dim=1).T) == twins.shape[1]
    )  # twins give on uneven shares, so they can part


@torch.inference_mode()
def test_a_recurrent_network_begins_as_the_plain_one_on_its_middle_frame(tmp_path):
    small = plain(depth=2)
    save_network(tmp_path / "small.safetensors", small)
    net = RecurrentNet(channels=10, depth=2, scale=2)
    take_over(net, str(tmp_path / "small.safetensors"), seed=0)
    frames = noise(1, 3, 1, 16, 20)
    out, memory = net.step(frames, net.init_state(1, 16, 20), torch.tensor([False]))
    torch.testing.assert_close(out[:, 0], small(frames[:, 1]))
    assert memory[1].abs().max() > 0  # it begins to remember at once


def test_a_wider_u_net_begins_as_the_narrower_one_and_learns_with_all_its_units(tmp_path):
    small, wide = UNet(channels=4), UNet(channels=6)
    for layer in small.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            torch.nn.init.normal_(layer.weight, std=0.1)
    save_network(tmp_path / "small.safetensors", small)
    take_over(wide, str(tmp_path / "small.safetensors"), seed=0)
    frames = noise(1, 9, 16, 24)
    torch.testing.assert_close(wide(frames), small(frames))
    wide(frames).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in wide.parameters())


def test_a_u_net_that_is_told_of_its_surroundings_begins_as_one_that_was_not(tmp_path):
    plain, told = unet(told=False), UNet(channels=4)
    save_network(tmp_path / "plain.safetensors", plain)
    take_over(told, str(tmp_path / "plain.safetensors"), seed=0)
    frames = noise(1, 9, 16, 24)
    torch.testing.assert_close(told(frames), plain(frames))
    told(frames).square().sum().backward()
    assert all(gain.weight.grad.abs().sum() > 0 for gain in told.gains)


def test_a_network_of_another_depth_has_nothing_to_grow_from(tmp_path):
    save_network(tmp_path / "small.safetensors", plain(depth=2))
    with pytest.raises(ModelError, match="no layer in common"):
        take_over(PlainNet(channels=14, depth=4, scale=2), str(tmp_path / "small.safetensors"), seed=0)


@pytest.mark.slow
def test_loading_built_in_networks_does_not_load_a_compiler():
    # It takes a second of CPU time, at every start of every command.
    loads = "; ".join(f"vsr.load({name!r})" for name in ("nano-x2", "video-x4", "deblur-x1"))
    check = f"import sys, vsr; {loads}; print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
