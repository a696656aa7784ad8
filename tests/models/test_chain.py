"""What the options make of one input: order, variants, mixtures and windows, with small networks made here."""

import numpy as np
import pytest
import torch
from support.marks import needs_bf16
from support.networks import tiny
from torch import Tensor

from vsr.durable import sha256_of
from vsr.engine.engine import Engine
from vsr.errors import ConfigError, ModelError
from vsr.frames import Frame, PictureFormat
from vsr.models import load
from vsr.models.catalogue import choice, model_facts
from vsr.models.chain import STRONGEST, Chain, Verdict, make_chain
from vsr.models.files.checkpoint import save_network
from vsr.models.layers.single_frame import SingleFrame
from vsr.models.networks.planes import PlanesNet
from vsr.models.spec import Context, Damage, Model, ModelSpec
from vsr.models.variants.blend import blend
from vsr.models.variants.self_ensemble import SelfEnsemble, self_ensemble
from vsr.options import EngineOptions, ModelOptions

GOOD = Verdict(False, "a.mp4: H.264 at 0.5 bits per pixel")
POOR = Verdict(True, "a.mp4: H.264 at 0.02 bits per pixel")


def names(factor: float | None, verdict: Verdict = GOOD, **options: object) -> list[str]:
    return [model.spec.name for model in make(factor, verdict, **options).models]


def make(factor: float | None, verdict: Verdict = GOOD, **options: object) -> Chain:
    return make_chain(ModelOptions(**options), factor, verdict)  # type: ignore[arg-type]


def weights(model: Model) -> Tensor:
    assert isinstance(model.network, torch.nn.Module)
    return torch.cat([value.flatten() for value in model.network.state_dict().values()])


@pytest.mark.parametrize(
    ("factor", "options", "wanted"),
    [
        (None, {}, ["tiny-x2"]),
        (None, {"deblur": True}, ["deblur-x1", "tiny-x2"]),
        (4, {"deblur": True}, ["deblur-x1", "tiny-x4"]),
        (1, {"deblur": True}, ["deblur-x1"]),
        (0.5, {"deblur": True}, ["deblur-x1"]),
        (1, {}, []),
        (None, {"model": ("deblur", "tiny")}, ["deblur-x1", "tiny-x2"]),
        (4, {"model": ("tiny", "deblur")}, ["tiny-x4", "deblur-x1"]),
        (2, {"model": ("bicubic", "tiny")}, ["bicubic-x2", "tiny-x2"]),
        (4, {"model": ("deblur", "bicubic", "tiny")}, ["deblur-x1", "bicubic-x2", "tiny-x2"]),
        (None, {"model": ("deblur",)}, ["deblur-x1"]),
        (None, {"model": ("deblur-x1",)}, ["deblur-x1"]),
        (2, {"model": ("deblur",)}, ["deblur-x1"]),
        (None, {"model": ("bicubic",), "deblur": True}, ["deblur-x1", "bicubic-x2"]),
        (4, {"progressive": True}, ["tiny-x2", "tiny-x2"]),
        (4.5, {"progressive": True}, ["tiny-x2", "tiny-x2"]),
        (8, {"progressive": True}, ["tiny-x2", "tiny-x2", "tiny-x2"]),
        (4, {"progressive": True, "deblur": True}, ["deblur-x1", "tiny-x2", "tiny-x2"]),
        (2, {"progressive": True}, ["tiny-x2"]),
        (None, {"progressive": True, "model": ("tiny-x4",)}, ["tiny-x4"]),
    ],
)
def test_deblur_comes_first_and_progressive_goes_in_steps(shelf, factor, options, wanted):
    assert names(factor, **options) == wanted


def test_progressive_says_where_it_changes_nothing(shelf):
    said = "progressive changes nothing here: no model is taken at x2 twice"
    assert said in make(2, progressive=True).notes
    assert said not in make(4, progressive=True).notes


def test_deblur_without_a_network_of_that_name_says_what_to_do(shelf, monkeypatch):
    left = tuple(facts for facts in model_facts.BUILT_IN if facts.tier != "deblur")
    monkeypatch.setattr(model_facts, "BUILT_IN", left)
    with pytest.raises(ConfigError, match="no such network is built in; name a checkpoint"):
        make(2, deblur=True)


@pytest.mark.parametrize(
    ("factor", "options", "verdict", "wanted"),
    [
        (2, {}, POOR, ["tiny-real-x2"]),
        (2, {}, GOOD, ["tiny-x2"]),
        (2, {"source": "clean"}, POOR, ["tiny-x2"]),
        (2, {"source": "real"}, GOOD, ["tiny-real-x2"]),
        (2, {"model": ("tiny-x2",)}, POOR, ["tiny-x2"]),
        (2, {"model": ("tiny-x2",), "source": "real"}, POOR, ["tiny-real-x2"]),
        (2, {"model": ("tiny-real",)}, GOOD, ["tiny-real-x2"]),
        (2, {"model": ("tiny-real-x2",), "source": "real"}, GOOD, ["tiny-real-x2"]),
        (4, {}, POOR, ["tiny-x4"]),
        (4, {"progressive": True}, POOR, ["tiny-real-x2", "tiny-x2"]),
        (2, {"deblur": True}, POOR, ["deblur-x1", "tiny-real-x2"]),
        (2, {"model": ("bicubic",)}, POOR, ["bicubic-x2"]),
        (1, {}, POOR, []),
        (2, {"denoise": 0.0}, POOR, ["tiny-x2"]),
        (2, {"denoise": 1.0}, GOOD, ["tiny-real-x2"]),
        (2, {"denoise": 0.25}, GOOD, ["tiny-x2 with 0.25 of tiny-real-x2"]),
        (2, {"denoise": 0.25, "model": ("tiny-x2",)}, GOOD, ["tiny-x2 with 0.25 of tiny-real-x2"]),
    ],
)
def test_clean_or_real_goes_by_the_source_unless_the_user_says(shelf, factor, options, verdict, wanted):
    assert names(factor, verdict, **options) == wanted


@pytest.fixture
def told_shelf(shelf, monkeypatch):
    """The same with `tiny-real` at x1 and x2 out of one file, by a network that is told its input's damage."""
    path = shelf / "tiny-real.safetensors"
    save_network(path, PlanesNet(channels=4, deep=4, depth=(0, 1, 0), scales=(1, 2), scale=1))
    facts = {"sees": "luma and chroma", "tier": "tiny-real", "sha256": sha256_of(path), "file": path.stem}
    real = [model_facts.ModelFacts(f"tiny-real-x{scale}", scale, **facts) for scale in (1, 2)]  # type: ignore[arg-type]
    others = [facts for facts in model_facts.BUILT_IN if facts.tier != "tiny-real"]
    monkeypatch.setattr(model_facts, "BUILT_IN", (*others, *real))


MEASURED = Damage(12.0, 0.4)
NOISY = Verdict(True, "a.mp4: noise 12", MEASURED)


@pytest.mark.parametrize(
    ("factor", "options", "verdict", "wanted"),
    [
        (2, {}, NOISY, [("tiny-real-x2", MEASURED)]),
        (2, {}, GOOD, [("tiny-x2", Damage())]),
        (2, {"source": "real"}, GOOD, [("tiny-real-x2", Damage())]),
        (2, {"source": "clean"}, NOISY, [("tiny-x2", Damage())]),
        (2, {"denoise": 0.0}, NOISY, [("tiny-x2", Damage())]),
        (2, {"denoise": 0.5}, NOISY, [("tiny-real-x2", Damage(15.0, 0.375))]),
        (2, {"denoise": 1.0}, GOOD, [("tiny-real-x2", STRONGEST)]),
        (2, {"model": ("tiny-real-x2",), "denoise": 0.5}, NOISY, [("tiny-real-x2", Damage(15.0, 0.375))]),
        (2, {"model": ("tiny-real-x2",)}, NOISY, [("tiny-real-x2", MEASURED)]),
        (2, {"model": ("tiny-real-x2",), "source": "clean"}, NOISY, [("tiny-real-x2", Damage())]),
        (
            4,
            {"model": ("tiny-real",)},
            NOISY,
            [("tiny-real-x2", MEASURED), ("tiny-real-x2", Damage())],
        ),
        (None, {"model": ("tiny-real",)}, GOOD, [("tiny-real-x2", Damage())]),
        (1, {"model": ("tiny-real",)}, NOISY, [("tiny-real-x1", MEASURED)]),
        (
            1,
            {"model": ("tiny-real-x1", "deblur")},
            NOISY,
            [("tiny-real-x1", MEASURED), ("deblur-x1", Damage())],
        ),
        (
            1,
            {"deblur": True, "model": ("tiny-real",)},
            NOISY,
            [("deblur-x1", Damage()), ("tiny-real-x1", MEASURED)],
        ),
        (1, {"denoise": 1.0}, GOOD, [("tiny-real-x1", STRONGEST)]),
        (0.5, {"source": "real"}, NOISY, [("tiny-real-x1", MEASURED)]),
        (1, {}, NOISY, []),
        (1.2, {"model": ("tiny-real",)}, NOISY, [("tiny-real-x2", MEASURED)]),
    ],
)
def test_a_network_that_can_be_told_is_told_how_much_to_do(told_shelf, factor, options, verdict, wanted):
    models = make(factor, verdict, **options).models
    assert [(model.spec.name, model.spec.damage) for model in models] == wanted


@pytest.fixture
def painting_shelf(told_shelf, shelf, monkeypatch):
    """The same with `tiny-sharp`, which paints and comes at x2 alone."""
    path = shelf / "tiny-sharp.safetensors"
    save_network(path, PlanesNet(channels=4, deep=4, depth=(0, 1, 0), scales=(2,), scale=2))
    facts = {"tier": "tiny-sharp", "file": path.stem, "sha256": sha256_of(path), "generative": True}
    sharp = model_facts.ModelFacts("tiny-sharp-x2", 2, "luma and chroma", **facts)  # type: ignore[arg-type]
    monkeypatch.setattr(model_facts, "BUILT_IN", (*model_facts.BUILT_IN, sharp))


@pytest.mark.parametrize(
    ("factor", "options", "wanted", "share"),
    [
        (2, {"texture": 1.0}, "tiny-sharp-x2", 1.0),
        (2, {"texture": 0.25}, "tiny-real-x2 with 0.25 of tiny-sharp-x2", 0.25),
        (2, {"texture": 0.25, "model": ("tiny-sharp-x2",)}, "tiny-real-x2 with 0.25 of tiny-sharp-x2", 0.25),
        (2, {"texture": 0.5, "model": ("tiny-real",)}, "tiny-real-x2 with 0.5 of tiny-sharp-x2", 0.5),
        (None, {"model": ("tiny-sharp",)}, "tiny-sharp-x2", 1.0),
    ],
)
def test_texture_goes_from_the_faithful_network_to_the_one_that_paints(
    painting_shelf, factor, options, wanted, share
):
    chain = make(factor, NOISY, **options)
    (model,) = chain.models
    assert (model.spec.name, model.spec.damage, model.spec.generative) == (wanted, MEASURED, True)
    assert f"{wanted} is generative: it paints detail that is not in the source" in chain.notes
    faithful, painting = (load(name).network.state_dict() for name in ("tiny-real-x2", "tiny-sharp-x2"))  # type: ignore[attr-defined]
    mixed = model.network.state_dict()  # type: ignore[attr-defined]
    for key in painting:
        torch.testing.assert_close(mixed[key], faithful[key].lerp(painting[key], share))


def test_at_other_sizes_the_last_network_paints_and_what_is_too_much_is_reduced(painting_shelf):
    cases = {
        (3, "tiny"): ["tiny-real-x2", "tiny-sharp-x2"],  # at x3 there is one that paints nothing
        (4, "tiny-sharp"): ["tiny-real-x2", "tiny-sharp-x2"],
        (1, ""): ["tiny-sharp-x2"],
        (1, "tiny-sharp"): ["tiny-sharp-x2"],
    }
    for (factor, model), wanted in cases.items():
        chain = make(factor, NOISY, texture=1.0, **({"model": (model,)} if model else {}))
        assert [each.spec.name for each in chain.models] == wanted, (factor, model)
        assert [each.spec.damage for each in chain.models] == [MEASURED, Damage()][: len(wanted)]
    named = make(4, NOISY, texture=0.5, model=("tiny-sharp-x2", "tiny-sharp-x2"))
    assert [each.spec.generative for each in named.models] == [False, True]
    twice = make(4, NOISY, model=("tiny-sharp",))
    assert [each.spec.generative for each in twice.models] == [False, True]


def test_texture_is_told_what_the_user_says_of_the_damage(painting_shelf):
    told = {key: make(2, NOISY, texture=1.0, **value).models[0].spec.damage for key, value in (
        ("clean", {"source": "clean"}), ("half", {"denoise": 0.5}), ("measured", {}))}  # fmt: skip
    assert told == {"clean": Damage(), "half": Damage(15.0, 0.375), "measured": MEASURED}


def test_without_texture_nothing_is_painted(painting_shelf):
    for options in ({}, {"model": ("tiny-real",)}):
        chain = make(2, NOISY, **options)
        assert not any(model.spec.generative for model in chain.models)
        assert not any("generative" in note for note in chain.notes)


def test_the_choice_is_said_with_its_reason_and_the_way_out(shelf):
    assert make(2, POOR).notes == (
        "a.mp4: H.264 at 0.02 bits per pixel: tiny-real-x2 (say --source clean to decide otherwise)",
    )
    assert make(2, GOOD).notes == (
        "a.mp4: H.264 at 0.5 bits per pixel: tiny-x2 (say --source real to decide otherwise)",
    )
    for silent in ({"source": "clean"}, {"source": "real"}, {"denoise": 0.3}, {"model": ("bicubic",)}):
        assert make(2, POOR, **silent).notes == ()


@pytest.mark.parametrize(
    ("factor", "options", "said"),
    [
        (4, {"denoise": 0.5}, "denoise 0.5: tiny-x4 has no -real variant; tiny-x2 has one"),
        (4, {"denoise": 0.0}, "denoise 0: tiny-x4 has no -real variant; tiny-x2 has one"),
        (4, {"source": "real"}, "source real: tiny-x4 has no -real variant; tiny-x2 has one"),
        (1, {"denoise": 1.0}, "an empty chain"),
        (2, {"model": ("bicubic",), "denoise": 1.0}, "bicubic-x2 has no -real variant"),
        (2, {"window": 3}, "window 3: tiny-x2 has no choice of windows"),
        (2, {"texture": 0.5}, "texture 0.5: tiny-x2 has no variant that paints"),
    ],
)
def test_what_no_model_has_is_refused_with_what_there_is(shelf, factor, options, said):
    with pytest.raises(ConfigError, match=said) as caught:
        make(factor, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"denoise": 1.5},
        {"denoise": -0.1},
        {"denoise": 0.5, "source": "real"},
        {"window": -1},
        {"texture": 1.1},
    ],
)
def test_values_out_of_range_are_refused_at_once(options):
    with pytest.raises(ConfigError):
        ModelOptions(**options)


def test_a_mixture_lies_on_the_line_between_the_two(shelf):
    clean, real = load("tiny-x2"), load("tiny-real-x2")
    for share in (0.0, 0.25, 1.0):
        (model,) = make(2, denoise=share).models
        torch.testing.assert_close(weights(model), (1 - share) * weights(clean) + share * weights(real))
    assert torch.equal(weights(clean), weights(load("tiny-x2")))


def test_networks_of_two_shapes_are_not_mixed():
    with pytest.raises(ModelError, match="another shape"):
        blend(Model(ModelSpec("a", 2), tiny(2)), Model(ModelSpec("b", 2), tiny(4)), 0.5)


# Windows


class Seen:
    """Gives back the middle frame, and notes how many frames it is shown."""

    def __init__(self) -> None:
        self.shown: set[int] = set()

    def init_state(self, batch: int, height: int, width: int) -> None:
        return None

    def step(self, frames: Tensor, state: object, reset: Tensor) -> tuple[Tensor, None]:
        self.shown.add(frames.shape[1])
        return frames[:, frames.shape[1] // 2][:, None], None


@pytest.fixture
def flexible(monkeypatch) -> Seen:
    """A model by the name of `flexible` that takes windows of 1, 3 and 5 frames, and has 3 by default."""
    network = Seen()
    spec = ModelSpec("flexible", 1, context=Context(before=1, after=1), windows=(1, 3, 5))
    flexible = Model(spec, network)
    monkeypatch.setattr(choice, "load", lambda name, scale=0: flexible if name == "flexible" else load(name))
    return network


@pytest.mark.parametrize(("window", "shown"), [(0, 3), (1, 1), (3, 3), (5, 5)])
def test_a_model_is_shown_the_window_asked_for(flexible, window, shown):
    chain = make(None, model=("flexible", "bicubic-x2"), window=window)
    format = PictureFormat(8, 10, layout="gray", range="full", bit_depth=16)
    frames = [Frame((np.full((8, 10), 1000 * n, np.uint16),), format, pts=n) for n in range(6)]
    out = list(Engine(chain.models, EngineOptions(device="cpu", precision="fp32", threads=1)).run(frames))
    assert flexible.shown == {shown}
    assert [int(frame.planes[0][0, 0]) for frame in out] == [1000 * n for n in range(6)]


@pytest.mark.parametrize("window", [2, 4, 7])
def test_a_window_that_a_model_does_not_take_is_answered_with_those_it_takes(flexible, window):
    with pytest.raises(ConfigError, match=f"window {window} is not accepted by flexible; 1 or 3 or 5 is"):
        make(None, model=("flexible",), window=window)


# Self-ensemble


class Recurrent(torch.nn.Module):
    """Adds half of what it gave before to what a convolution makes of three frames; knows which way is up."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv = torch.nn.Conv2d(9, 3, 3, padding=1)

    def init_state(self, batch: int, height: int, width: int) -> Tensor:
        return torch.zeros(batch, 3, height, width)

    def step(self, frames: Tensor, state: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.where(reset.view(-1, 1, 1, 1), torch.zeros_like(state), state)
        out = self.conv(frames.flatten(1, 2)) + 0.5 * state
        return out[:, None], out


def poses(x: Tensor) -> list[Tensor]:
    """The eight poses of (..., H, W), by transposition and flips alone."""
    upright = [x, x.flip(-1), x.flip(-2), x.flip(-1, -2)]
    return upright + [pose.transpose(-1, -2) for pose in upright]


def back(x: Tensor, index: int) -> Tensor:
    """Undo pose `index` of `poses`."""
    x = x.transpose(-1, -2) if index >= 4 else x
    return [x, x.flip(-1), x.flip(-2), x.flip(-1, -2)][index % 4]


@torch.inference_mode()
def stream(network: object, clip: Tensor, resets: tuple[int, ...]) -> Tensor:
    """(T, C, H, W) through a network that looks one frame back and ahead."""
    state, out = network.init_state(1, *clip.shape[-2:]), []  # type: ignore[attr-defined]
    for t in range(1, len(clip) - 1):
        frames = clip[None, t - 1 : t + 2]
        given, state = network.step(frames, state, torch.tensor([t in resets]))  # type: ignore[attr-defined]
        out.append(given[0, 0])
    return torch.stack(out)


def test_a_self_ensemble_is_the_mean_of_eight_streams_each_with_its_own_state():
    clip = torch.rand(7, 3, 6, 9, generator=torch.Generator().manual_seed(0))
    network = Recurrent().eval()
    alone = [back(stream(network, pose, (1, 4)), i) for i, pose in enumerate(poses(clip))]
    together = stream(SelfEnsemble(network), clip, (1, 4))
    torch.testing.assert_close(together, torch.stack(alone).mean(0))
    assert (together - alone[0]).abs().max() > 0.01


@pytest.mark.parametrize("options", [{}, pytest.param({"precision": "bf16"}, marks=needs_bf16), {"tile": 16}])
def test_a_self_ensemble_turns_with_the_picture(shelf, options):
    (model,) = make(2, self_ensemble=True).models
    format = PictureFormat(20, 30, layout="gray", range="full", bit_depth=16)
    plane = np.random.default_rng(0).integers(20_000, 40_000, (20, 30)).astype(np.uint16)
    turned = np.ascontiguousarray(np.rot90(plane))
    engine = Engine(
        [model], EngineOptions(**({"device": "cpu", "precision": "fp32", "threads": 1} | options))
    )  # type: ignore[arg-type]
    (upright,) = engine.run([Frame((plane,), format)])
    (on_its_side,) = engine.run([Frame((turned,), PictureFormat(30, 20, 16, "gray", range="full"))])
    difference = np.abs(np.rot90(upright.planes[0]).astype(int) - on_its_side.planes[0].astype(int))
    assert difference.max() <= 2  # of 65535: eight passes added in another order


@pytest.mark.parametrize("packs", [1, 2])
def test_a_self_ensemble_shows_the_picture_and_puts_back_the_answer(packs: int):
    """An echo gives the picture back in every pose, so that their mean is the picture."""

    class Echo(SingleFrame):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return x

    seen: list[Tensor] = []
    luma = torch.rand(1, 1, 8, 12)
    x = torch.nn.functional.pixel_unshuffle(luma, packs)
    (out,) = SelfEnsemble(Echo(), packs).step(x[:, None], None, torch.ones(1))[0]
    torch.testing.assert_close(out, x)
    shown = [torch.nn.functional.pixel_shuffle(each, packs) for each in seen]
    wanted = [
        pose
        for k in range(4)
        for pose in (torch.rot90(luma, k, (-2, -1)), torch.rot90(luma.flip(-1), k, (-2, -1)))
    ]
    assert all(any(torch.equal(pose, one) for one in shown) for pose in wanted)


def test_a_self_ensemble_says_what_it_is_and_costs(shelf):
    (plain,), (model,) = make(2).models, make(2, self_ensemble=True).models
    assert model.spec.name == "tiny-x2 (self-ensemble)"
    assert model.spec.kflop_per_pixel == 8 * plain.spec.kflop_per_pixel
    assert (model.spec.halo, model.spec.size_multiple) == (plain.spec.halo, plain.spec.size_multiple)


def test_a_self_ensemble_gains_on_set5(test_data):
    from support.published import set5_psnr

    model = load("nano-x2")
    assert set5_psnr(self_ensemble(model), test_data) > set5_psnr(model, test_data) + 0.2
