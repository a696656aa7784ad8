from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from support.marks import needs_bf16
from support.networks import tiny
from torch import Tensor
from torch.nn import functional as F

from vsr.cli.main import run
from vsr.engine import unchanged
from vsr.engine.engine import Engine
from vsr.engine.unchanged import Patchwork
from vsr.frames import Frame, PictureFormat
from vsr.models.spec import Context, Model, ModelSpec
from vsr.options import EngineOptions

FORMAT = PictureFormat(210, 370, matrix="bt709")


def background() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(16, 236, FORMAT.plane_size(i)).astype(np.uint8) for i in range(3)]


def moving(count: int = 5, format: PictureFormat = FORMAT) -> list[Frame]:
    """A small square wanders down the right edge over a still background of noise, and rests for a frame."""
    frames = []
    for n in range(count):
        planes = background()
        place = min(n, count - 2)
        planes[0][60 * place : 60 * place + 9, -12 + 3 * place :] = 17
        frames.append(Frame(tuple(planes), format, pts=n))
    return frames


def cpu(**options: object) -> EngineOptions:
    return EngineOptions(**({"device": "cpu", "precision": "fp32", "threads": 1} | options))  # type: ignore[arg-type]


class Layers:
    """A network from a function of (B, T, C, H, W); keeps the sizes that it was shown."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        self.function = function
        self.shown: list[tuple[int, int]] = []

    def init_state(self, batch: int, height: int, width: int) -> None:
        return None

    def step(self, frames: Tensor, state: object, reset: Tensor) -> tuple[Tensor, None]:
        self.shown.append((frames.shape[-2], frames.shape[-1]))
        return self.function(frames), None


def around(frames: Tensor) -> Tensor:
    """Half of the picture, a quarter of what stands right below it before and after."""
    below = F.pad(frames, (0, 0, 0, 1))[..., 1:, :]
    return (0.5 * frames[:, 1] + 0.25 * below[:, 0] + 0.25 * below[:, 2])[:, None]


def blocks(frames: Tensor) -> Tensor:
    """Means of squares of 8 pixels, and of the squares beside them."""
    small = F.avg_pool2d(F.avg_pool2d(frames[:, 0], 8), 3, 1, 1)
    return small.repeat_interleave(8, 2).repeat_interleave(8, 3)[:, None]


def double(frames: Tensor) -> Tensor:
    return frames.repeat_interleave(2, 3).repeat_interleave(2, 4)


def bright(frames: Tensor) -> Tensor:
    """Not what its spec says: looks at the whole picture."""
    return frames - frames.mean((2, 3, 4), keepdim=True)


def made_of(function: Callable[[Tensor], Tensor], **spec: object) -> Model:
    facts = ModelSpec(function.__name__, **({"scale": 1} | spec))  # type: ignore[arg-type]
    return Model(facts, Layers(function))


def sizes(model: Model) -> list[tuple[int, int]]:
    assert isinstance(model.network, Layers)
    return model.network.shown


MODELS: dict[str, Callable[[], list[Model]]] = {
    "bicubic": lambda: [Model(ModelSpec("tiny", scale=2, halo=3, residual="bicubic"), tiny(2))],
    "rgb": lambda: [
        Model(ModelSpec("t", scale=2, in_channels=3, halo=3, residual="nearest"), tiny(2, colors=3))
    ],
    "neighbours": lambda: [made_of(around, halo=1, context=Context(before=1, after=1))],
    "chunks": lambda: [made_of(double, scale=2, context=Context(emit=2))],
    "multiples": lambda: [made_of(blocks, halo=16, size_multiple=8)],
    "chain": lambda: [made_of(double, scale=2), made_of(around, halo=1, context=Context(before=1, after=1))],
}


CONVOLUTIONS = ("bicubic", "rgb")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "options", [{}, {"threads": 2}, {"tile": 100}, pytest.param({"precision": "bf16"}, marks=needs_bf16)]
)
def test_skipping_gives_what_the_whole_picture_gives_to_the_bit(name, options):
    frames = moving()
    skipping = Engine(MODELS[name](), cpu(skip_static="on", **options))
    computing = Engine(MODELS[name](), cpu(**options))
    for ours, theirs in zip(skipping.run(frames), computing.run(frames), strict=True):
        assert ours.pts == theirs.pts
        assert all(np.array_equal(a, b) for a, b in zip(ours.planes, theirs.planes, strict=True))
    # Convolutions may be run in another order on parts, on this processor or that; the rest is exact everywhere.
    assert name in CONVOLUTIONS or not skipping.notes
    assert skipping.notes or skipping.share_skipped > computing.share_skipped + 0.1


def standing(count: int) -> list[Frame]:
    """`moving` to and fro, so that little changes for so long."""
    there = moving()[:4]
    order = [*range(4), 2, 1]
    return [replace(there[order[n % 6]], pts=n) for n in range(count)]


@pytest.mark.parametrize("name", MODELS)
def test_what_stands_for_long_is_skipped_unasked_to_the_bit(name):
    frames, models = standing(24), MODELS[name]()
    models = [Model(replace(each.spec, kflop_per_pixel=5), each.network) for each in models]
    unasked, computing = Engine(models, cpu()), Engine(models, cpu(skip_static="off"))
    for ours, theirs in zip(unasked.run(frames), computing.run(frames), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(ours.planes, theirs.planes, strict=True))
    assert not unasked.notes
    assert name in CONVOLUTIONS or unasked.share_skipped > 0
    assert computing.share_skipped == 0


def test_what_moves_everywhere_is_never_checked_and_seldom_looked_at(monkeypatch: pytest.MonkeyPatch):
    looks, look = [], unchanged._changed_everywhere
    monkeypatch.setattr(unchanged, "_changed_everywhere", lambda *given: looks.append(1) or look(*given))
    rng, model = np.random.default_rng(0), made_of(double, scale=2, kflop_per_pixel=5)
    frames = [
        replace(frame, planes=(rng.integers(0, 9, frame.planes[0].shape, np.uint8), *frame.planes[1:]))
        for frame in standing(20)
    ]
    list(Engine([model], cpu()).run(frames))
    assert sizes(model) == [(210, 370)] * 20
    assert len(looks) == 3  # at the 2nd, 10th and 18th


@pytest.mark.parametrize("options", [{"batch": 2}, {"skip_static": "off"}])
def test_a_batch_that_is_asked_for_stays_one(options):
    model = made_of(double, scale=2, kflop_per_pixel=5)
    list(Engine([model], cpu(**options)).run(standing(12)))
    assert set(sizes(model)) == {(210, 370)}


def test_little_is_not_skipped_and_nothing_of_a_network_that_costs_nothing():
    model = made_of(double, scale=2)
    engine = Engine([model], cpu())
    list(engine.run(moving()))
    assert sizes(model) == [(210, 370)] * 4  # the last frame repeats
    assert engine.share_skipped == pytest.approx(1 / 5)


def test_a_network_runs_on_parts_of_one_size_where_little_changes():
    model = made_of(double, scale=2, halo=2)
    engine = Engine([model], cpu(skip_static="on"))
    list(engine.run(moving()))
    parts = [size for size in sizes(model) if size != (210, 370)]
    assert set(parts) == {(160, 160)}
    # The square is gone from where it was and has come to where it is: one part or two a frame.
    assert 3 <= len(parts) - 9 <= 6  # nine have been tried on noise
    assert 0.2 + 0.3 < engine.share_skipped < 0.2 + 0.6


def test_a_change_of_colour_alone_does_not_run_a_luma_network():
    frames = moving(2)
    planes = [plane.copy() for plane in frames[0].planes]
    planes[1][20:30, 40:50] = 200
    frames[1] = replace(frames[0], planes=tuple(planes), pts=1)
    model = made_of(double, scale=2)
    engine = Engine([model], cpu(skip_static="on"))
    out = list(engine.run(frames))
    assert sizes(model) == [(210, 370)]
    assert engine.share_skipped == 0.5
    assert np.array_equal(out[0].planes[0], out[1].planes[0])
    assert out[1].planes[1][50, 90] == 200


def test_a_network_that_is_not_what_its_spec_says_is_found_out_and_computed_whole():
    model = made_of(bright, halo=2)
    engine, plain = Engine([model], cpu(skip_static="on")), Engine([made_of(bright, halo=2)], cpu())
    out = list(engine.run(moving()))
    assert all(
        np.array_equal(a.planes[0], b.planes[0]) for a, b in zip(out, plain.run(moving()), strict=True)
    )
    assert len(engine.notes) == 1
    assert "parts would not equal the whole" in engine.notes[0]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"halo": None}, "looks at the whole picture"),
        ({"context": Context(stateful=True)}, "carries a state"),
    ],
)
def test_the_user_hears_where_skipping_cannot_be_had(spec, reason):
    engine = Engine([made_of(double, scale=2, **spec)], cpu(skip_static="on"))
    assert len(list(engine.run(moving()))) == 5
    assert any(reason in note for note in engine.notes)


def test_pictures_of_several_sizes_pass_in_one_stream():
    small = PictureFormat(20, 30, layout="gray")
    flat = [Frame((np.full((20, 30), value, np.uint8),), small, pts=9 + value) for value in (20, 30)]
    frames = [*moving(3), *flat, *[replace(frame, pts=100 + frame.pts) for frame in moving(3)]]
    ours, theirs = (
        Engine([made_of(double, scale=2)], cpu(skip_static=skip)).run(frames) for skip in ("on", "off")
    )
    for a, b in zip(ours, theirs, strict=True):
        assert all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))


def spots(size: tuple[int, int], places: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """A black picture, and the same with white pixels."""
    black = torch.zeros(1, *size)
    white = black.clone()
    for y, x in places:
        white[0, y, x] = 1
    return black, white


@pytest.mark.parametrize("size", [(400, 600), (333, 517), (100, 900), (900, 100)])
@pytest.mark.parametrize(("halo", "multiple"), [(0, 1), (6, 1), (10, 3), (16, 8), (25, 1), (24, 64)])
def test_every_pixel_that_a_change_reaches_is_computed_with_all_that_it_depends_on(size, halo, multiple):
    rng = np.random.default_rng(halo + multiple)
    spec = ModelSpec("dilate", scale=1, halo=halo, size_multiple=multiple)

    def step(frames: Tensor) -> Tensor:
        square = np.ones((2 * halo + 1, 2 * halo + 1), np.uint8)
        pictures = frames.flatten(0, 2).numpy()
        return torch.from_numpy(np.stack([cv2.dilate(one, square) for one in pictures])).view_as(frames)

    notes: list[str] = []
    for count in (1, 3, 6):
        places = [(int(rng.integers(size[0])), int(rng.integers(size[1]))) for _ in range(count)]
        black, white = spots(size, places)
        patchwork = Patchwork(spec, step, note=notes.append)
        parts = patchwork.changed_parts([white], [black])
        if parts is None:
            continue
        patchwork.join(step(black[None, None])[0])
        joined = patchwork.join(patchwork.run(white[None, None], parts))
        assert torch.equal(joined, step(white[None, None])[0])
        assert len({part.of(F.pad(white, (0, 64, 0, 64))).shape for part in parts}) == 1
    assert not notes


def test_a_picture_that_changes_all_over_is_computed_whole():
    patchwork = Patchwork(ModelSpec("double", scale=2), double, note=[].append)
    black, white = spots((400, 600), [(y, x) for y in range(0, 400, 90) for x in range(0, 600, 90)])
    assert patchwork.changed_parts([white], [black]) is None
    assert patchwork.changed_parts([white], []) is None
    assert patchwork.changed_parts([white], [white.clone()]) == []


def test_the_command_says_how_much_was_skipped(make_clip, tmp_path, shelf, capsys):
    clip = make_clip("slides.mkv", numbers=[0, 0, 0, 1], codec="ffv1", num_frames=4, size=(360, 640))
    arguments = [
        "enhance",
        str(clip),
        "-o",
        str(tmp_path / "out.mkv"),
        "--preset",
        "ultrafast",
        "--model",
        "tiny",
    ]
    assert run([*arguments, "--skip-static", "on"]) == 0
    said = capsys.readouterr().err
    # The third frame is the second; the fourth differs in one cell of sixteen, 90 by 160 pixels.
    assert "4 frames (2 reused, " in said
    assert 50 < int(said.split("2 reused, ")[1].split("%")[0]) < 75
