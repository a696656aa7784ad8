"""Networks of our own in eight-bit integers."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vsr.cli.main import run
from vsr.engine import pack_picture
from vsr.engine.engine import Engine
from vsr.errors import ConfigError
from vsr.frames import Frame, PictureFormat
from vsr.models import Damage, catalogue, load
from vsr.models.files.checkpoint import read_model, save_network
from vsr.models.layers.int8_conv import steps_between
from vsr.models.networks.plain import PlainNet
from vsr.models.networks.planes import PlanesNet
from vsr.models.variants.blend import blend
from vsr.models.variants.int8 import calibrate_int8, has_int8
from vsr.models.variants.over_time import OverTime, over_time
from vsr.models.variants.self_ensemble import self_ensemble
from vsr.options import EngineOptions
from vsr.picture import from_planes

needs_vnni = pytest.mark.skipif(not has_int8(), reason="this processor has no VNNI")
CALIBRATED = [name for name in catalogue.names() if "int8" in catalogue.load(name).spec.dtypes]


def picture(height: int, width: int, seed: int = 0) -> Frame:
    """Something with slopes, edges and texture in it, 8 bits of limited range."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = 60 * np.sin(x / 5 + y / 9) + 40 * (x // 7 % 2) + rng.normal(0, 6, (height, width))
    format = PictureFormat(height, width, matrix="bt709")
    luma = np.clip(110 + waves, 16, 235).astype(np.uint8)
    chroma = [np.full(format.plane_size(plane), 128, np.uint8) for plane in (1, 2)]
    return Frame((luma, *chroma), format)


def enhanced(model, frame: Frame, **options) -> np.ndarray:
    (out,) = Engine([model], EngineOptions(device="cpu", **options)).run([frame])
    return out.planes[0].astype(np.float64)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((a - b) ** 2))


def test_every_network_that_can_count_in_integers_comes_calibrated():
    ours = [
        name
        for name in catalogue.names()
        if isinstance(catalogue.load(name).network, PlainNet | PlanesNet | OverTime)
    ]
    assert CALIBRATED == ours != []


@needs_vnni
@pytest.mark.parametrize("name", CALIBRATED)
@pytest.mark.parametrize("size", [(5, 7), (17, 23), (40, 64)])
def test_int8_stays_close_to_fp32_up_to_the_edges(name, size):
    model, frame = catalogue.load(name), picture(*size)
    assert psnr(enhanced(model, frame, precision="fp32"), enhanced(model, frame, precision="int8")) > 40


@needs_vnni
@pytest.mark.parametrize("options", [{"tile": 16}, {"tile": 32, "batch": 2}, {"threads": 1}, {"threads": 2}])
def test_int8_does_not_depend_on_tiles_batches_and_threads(options):
    model, frame = catalogue.load("nano-x2"), picture(70, 90)
    whole = enhanced(model, frame, precision="int8", tile="off")
    assert np.array_equal(whole, enhanced(model, frame, precision="int8", **options))


@needs_vnni
def test_int8_sees_the_network_in_all_poses_and_between_two_networks():
    frame, fast, other = picture(40, 64), catalogue.load("fast-x2"), catalogue.load("fast-x2")
    with torch.no_grad():
        for parameter in other.network.parameters():  # type: ignore[attr-defined]
            parameter.mul_(0.95)
    for model in (self_ensemble(fast), blend(fast, other, 0.5)):
        assert psnr(enhanced(model, frame, precision="fp32"), enhanced(model, frame, precision="int8")) > 40


def planes_network(scale: int = 2) -> PlanesNet:
    """A small one whose tail gives something, calibrated on what it will see."""
    torch.manual_seed(2)
    network = PlanesNet(channels=16, deep=32, depth=(1, 2, 1), scales=(1, 2), scale=scale)
    for tail in network.tails.values():
        torch.nn.init.normal_(tail.weight, std=0.02)  # type: ignore[arg-type]
    frames = [from_planes(frame, [torch.from_numpy(plane) for plane in frame.planes]) for frame in
              (picture(96, 128, seed) for seed in range(3))]  # fmt: skip
    calibrate_int8(network, [pack_picture(each, Damage(noise=6.0)) for each in frames])
    return network.eval()


@needs_vnni
@pytest.mark.parametrize("scale", [1, 2])
def test_planes_in_int8_stay_close_to_fp32_whatever_the_tiles(tmp_path, scale):
    network, frame = planes_network(scale), picture(70, 90)
    save_network(tmp_path / "planes.safetensors", network)
    model = read_model(tmp_path / "planes.safetensors", scale=scale)
    assert "int8" in model.spec.dtypes
    exact, whole = (enhanced(model, frame, precision=precision) for precision in ("fp32", "int8"))
    assert psnr(exact, whole) > 46
    added = exact - enhanced(load(f"bicubic-x{scale}") if scale > 1 else load("identity"), frame)
    assert np.abs(added).mean() > 8 * np.abs(exact - whole).mean()  # so that closeness says something
    for options in ({"tile": 16}, {"tile": 32, "batch": 2}, {"threads": 1}, {"threads": 2}):
        assert np.array_equal(whole, enhanced(model, frame, precision="int8", **options))
    assert torch.equal(model.network.state_dict()["down.weight"], network.state_dict()["down.weight"])  # type: ignore[attr-defined]


@needs_vnni
def test_planes_with_a_memory_run_in_int8(tmp_path):
    save_network(tmp_path / "planes.safetensors", planes_network())
    model = over_time(read_model(tmp_path / "planes.safetensors", scale=2), "remembers")
    assert model.spec.dtypes == ("fp32", "bf16", "fp16", "int8")
    frame = picture(48, 64)
    assert psnr(enhanced(model, frame, precision="fp32"), enhanced(model, frame, precision="int8")) > 46


@pytest.mark.parametrize("low", [0.0, -0.4])
def test_bytes_stand_for_the_nearest_values_within_their_range(low):
    steps = steps_between(low, 0.6)
    x = torch.linspace(-1, 1, 2001).view(1, 1, 1, -1)
    rendered = (steps.bytes_of(x).float() - steps.zero) * steps.step
    inside = (x >= low) & (x <= 0.6)
    assert (rendered - x)[inside].abs().max() <= steps.step * 0.51
    assert (rendered.min(), rendered.max()) == (
        pytest.approx(low, abs=steps.step),
        pytest.approx(0.6, abs=steps.step),
    )


def test_a_network_without_calibration_refuses_int8(tmp_path):
    save_network(tmp_path / "raw.safetensors", PlainNet(channels=4, depth=1, scale=2))
    with pytest.raises(ConfigError, match="vsr calibrate"):
        Engine([read_model(tmp_path / "raw.safetensors")], EngineOptions(device="cpu", precision="int8"))


def test_a_processor_without_vnni_refuses_int8(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    with pytest.raises(ConfigError, match="VNNI"):
        Engine([catalogue.load("nano-x2")], EngineOptions(device="cpu", precision="int8"))


def test_checkpoints_without_ranges_still_load(tmp_path):
    net = PlainNet(channels=4, depth=1, scale=2)
    tensors = {key: value for key, value in net.state_dict().items() if key != "ranges"}
    save_file(tensors, tmp_path / "old.safetensors")
    model = read_model(tmp_path / "old.safetensors")
    assert "int8" not in model.spec.dtypes
    assert "fp32" in model.spec.dtypes


def test_ranges_reach_as_far_as_the_activations_do():
    net = PlainNet(channels=1, depth=0, scale=2)
    torch.nn.init.zeros_(net.body[0].weight)
    net.body[0].weight.data[0, 0, 1, 1] = 2.0
    x = torch.rand(1, 1, 290, 290, generator=torch.Generator().manual_seed(0))
    calibrate_int8(net, [x])
    assert 1.9 < net.ranges.item() <= 2
    calibrate_int8(net, [x, 3 * x])
    assert 5 < net.ranges.item() <= 6


def test_the_command_calibrates_a_checkpoint_and_leaves_its_weights(tmp_path):
    cv2 = pytest.importorskip("cv2")
    path, pictures = tmp_path / "net.safetensors", tmp_path / "pictures"
    pictures.mkdir()
    cv2.imwrite(str(pictures / "a.png"), picture(300, 310).planes[0])
    net = PlainNet(channels=4, depth=1, scale=2)
    save_network(path, net)
    assert run(["calibrate", str(path), "--data", str(pictures), "--quiet"]) == 0
    after = load_file(path)
    assert after.pop("ranges").min() > 0
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in after.items())
    assert "int8" in read_model(path).spec.dtypes


def test_the_command_calibrates_planes_on_damaged_pictures(tmp_path):
    cv2 = pytest.importorskip("cv2")
    path, pictures = tmp_path / "net.safetensors", tmp_path / "pictures"
    pictures.mkdir()
    for number in range(2):
        cv2.imwrite(str(pictures / f"{number}.png"), picture(100, 110, number).planes[0])
    save_network(path, PlanesNet(channels=4, deep=4, depth=(1, 1, 1), scales=(2,), scale=2))
    assert run(["calibrate", str(path), "--data", str(pictures), "--quiet"]) == 0
    ranges = load_file(path)["ranges"]
    assert ((ranges[:, 0] <= 0) & (ranges[:, 1] > 0)).all()


@pytest.mark.parametrize(
    ("name", "words"), [("net.pth", ".safetensors"), ("deblur.safetensors", "plain network")]
)
def test_the_command_says_what_cannot_be_calibrated(tmp_path, capsys, name, words):
    (tmp_path / "net.pth").write_bytes(b"")
    (tmp_path / "deblur.safetensors").write_bytes(catalogue.find_model("deblur-x1").path.read_bytes())
    assert run(["calibrate", str(tmp_path / name), "--data", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err
