"""The memory of a network on coded planes: noise falls with the frames, and nothing that moved is left behind."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vsr.engine.packing import from_packed, to_packed, told
from vsr.models import Damage, Model, ModelSpec
from vsr.models.networks.planes import PlanesNet, planes_facts
from vsr.models.variants.over_time import NEIGHBOURED, STILL, OverTime, averaged, over_time, remembered
from vsr.resample import enlarge

NOISE = 12.0
"""σ of luma, in codes."""

SIZE = 48


def textured(seed: int = 0) -> tuple[Tensor, Tensor]:
    """A picture with something to follow: smooth blobs, (1, 1, 2·SIZE, 2·SIZE) and (1, 2, SIZE, SIZE)."""
    made = torch.Generator().manual_seed(seed)
    luma = F.interpolate(torch.rand(1, 1, 16, 16, generator=made), size=(2 * SIZE, 2 * SIZE), mode="bicubic")
    chroma = F.interpolate(torch.rand(1, 2, 8, 8, generator=made) - 0.5, size=(SIZE, SIZE), mode="bicubic")
    return luma * 0.6 + 0.2, chroma * 0.4


def noisy(planes: tuple[Tensor, Tensor], seed: int) -> Tensor:
    """(1, 8, SIZE, SIZE), new noise in every frame."""
    made = torch.Generator().manual_seed(100 + seed)
    damaged = (plane + NOISE / 255 * torch.randn(plane.shape, generator=made) for plane in planes)
    return told(to_packed(*damaged), Damage(NOISE))


def error(luma: Tensor, wanted: Tensor) -> float:
    return float((luma - wanted)[..., 6:-6, 6:-6].std() * 255)


def after(frames: list[Tensor], resets: tuple[int, ...] = (0,)) -> tuple[Tensor, Tensor, Tensor]:
    memory = OverTime(blank()).init_state(len(frames[0]), SIZE, SIZE)
    for number, frame in enumerate(frames):
        memory = averaged(frame, memory, torch.tensor([number in resets] * len(frame)))
    return memory


def blank(scale: int = 1) -> PlanesNet:
    return PlanesNet(channels=4, deep=4, depth=(0, 1, 0), scales=(1, 2), scale=scale).eval()


def test_noise_of_a_still_scene_falls_with_the_number_of_frames():
    scene = textured()
    for count in (4, 16):
        luma, _, seen = after([noisy(scene, n) for n in range(count)])
        assert error(luma, scene[0]) <= 1.15 * NOISE / count**0.5
        assert seen.mean() >= 0.95 * min(count, STILL)


def test_noise_of_a_scene_that_moves_falls_too():
    wide = textured()[0]
    frames, moved = [], wide
    for n in range(6):
        moved = torch.roll(wide, (n, 2 * n), (-2, -1))
        frames.append(noisy((moved, torch.zeros(1, 2, SIZE, SIZE)), n))
    assert error(after(frames)[0], moved) <= 0.65 * NOISE


def test_nothing_is_left_behind_what_moves_away():
    luma, chroma = textured()
    with_box = luma.clone()
    with_box[..., 30:60, 30:60] = 0.95
    frames = [noisy((with_box, chroma), n) for n in range(8)] + [noisy((luma, chroma), 8)]
    left, _, seen = after(frames)
    uncovered = (slice(None), slice(None), slice(32, 58), slice(32, 58))
    assert (left - luma)[uncovered].mean().abs() * 255 < 2
    assert seen[..., 16:29, 16:29].max() < 1.5  # this frame alone
    assert seen[..., 36:, 36:].median() > 6  # elsewhere all of them


def test_a_reset_begins_anew():
    scene, other = textured(), textured(1)
    memory = after([noisy(scene, n) for n in range(5)] + [noisy(other, 9)], resets=(0, 5))
    assert memory[2].max() == 1
    assert torch.equal(memory[0], from_packed(noisy(other, 9)[:, :6])[0])


@pytest.mark.parametrize("scale", [1, 2])
def test_the_answer_is_what_turns_the_enlarged_frame_into_the_enlarged_average(scale: int):
    scene = textured()
    facts = planes_facts(blank(scale), 8)
    plain = Model(ModelSpec("plain", scale, in_channels=8, residual="bicubic", **facts), blank(scale))
    model = over_time(plain, "remembering")
    assert model.spec.context.stateful
    assert (model.spec.name, model.spec.halo) == ("remembering", None)
    state = model.network.init_state(1, SIZE, SIZE)
    for n in range(4):
        frame = noisy(scene, n)
        out, state = model.network.step(frame[:, None], state, torch.tensor([n == 0]))
    given = from_packed(out[:, 0])[0] + enlarge(from_packed(frame[:, :6])[0], scale)
    torch.testing.assert_close(given, enlarge(state[0], scale), atol=1e-5, rtol=0)


def test_streams_in_a_batch_do_not_mix():
    first, second = textured(), textured(1)
    alone = [after([noisy(scene, n) for n in range(3)]) for scene in (first, second)]
    both = after([torch.cat([noisy(first, n), noisy(second, n)]) for n in range(3)], resets=(0,))
    for part in range(3):
        torch.testing.assert_close(both[part], torch.cat([alone[0][part], alone[1][part]]))


def test_a_network_may_see_by_what_the_frames_around_it_differ_from_the_average():
    """A scene that moves by two pixels a frame: all that is shown lies where things are now."""
    wide = textured()[0]
    grey = torch.zeros(1, 2, SIZE, SIZE)
    frames = [(torch.roll(wide, (n, 2 * n), (-2, -1)), grey) for n in range(5)]
    seen = [noisy(planes, n) for n, planes in enumerate(frames)]
    shown = remembered(seen[:4], neighbours=[seen[4], seen[2]])
    assert shown.shape == (1, NEIGHBOURED, SIZE, SIZE)
    assert torch.equal(shown[:, :8], remembered(seen[:4]))
    average = shown[:, :6]
    torch.testing.assert_close(average + shown[:, 8:14], seen[3][:, :6])
    for differs, frame in ((shown[:, 14:20], seen[4]), (shown[:, 20:], seen[2])):
        assert error(from_packed(average + differs)[0], frames[3][0]) < 1.2 * NOISE
        assert error(from_packed(frame[:, :6])[0], frames[3][0]) > 1.8 * NOISE


def test_such_a_network_waits_for_the_next_frame():
    network = PlanesNet(channels=4, deep=4, depth=(0, 1, 0), scales=(2,), scale=2, colors=NEIGHBOURED).eval()
    torch.nn.init.normal_(network.tails["2"].weight, std=0.1)
    model = over_time(Model(ModelSpec("plain", 2, in_channels=8), network), "remembering")
    assert (model.spec.context.num_frames, model.spec.context.latency) == (3, 1)
    scene, state, given = textured(), model.network.init_state(1, SIZE, SIZE), []
    for following in (noisy(scene, 1), noisy(textured(1), 1)):
        frames = torch.stack([noisy(scene, 0), noisy(scene, 0), following], 1)
        given.append(model.network.step(frames, state, torch.tensor([True]))[0])
    assert given[0].shape == (1, 1, 6, 2 * SIZE, 2 * SIZE)
    assert not torch.allclose(*given)
