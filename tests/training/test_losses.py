import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vsr.errors import ConfigError, ModelError
from vsr.training.critic import Critic, critic_loss, relativistic
from vsr.training.losses import charbonnier, fourier, temporal_difference, weigh
from vsr.training.options import LossOptions
from vsr.training.vgg import load_vgg


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_charbonnier_is_the_distance_far_off_and_flat_at_zero():
    zeros = torch.zeros(1, 1, 1, 4, 4)
    assert charbonnier(zeros + 0.5, zeros) == pytest.approx(0.5, abs=1e-5)
    assert charbonnier(zeros, zeros) == pytest.approx(1e-3)


def test_fourier_is_the_mean_of_the_parts_of_the_spectrum():
    a, b = noise(2, 1, 3, 6, 8), noise(2, 1, 3, 6, 8, seed=1)
    rows, columns = (
        torch.exp(-2j * math.pi * torch.outer(n, n) / len(n)) for n in (torch.arange(6), torch.arange(8))
    )
    spectrum = (rows @ (a - b).to(torch.complex64) @ columns)[..., :5] / math.sqrt(48)
    expected = (spectrum.real.abs() + spectrum.imag.abs()).mean() / 2
    assert fourier(a, b) == pytest.approx(float(expected), rel=1e-4)
    assert fourier(a, a) == 0


def test_fourier_minds_a_lost_detail_more_than_a_wrong_shade_of_the_same_energy():
    zeros = torch.zeros(1, 1, 1, 16, 16)
    dot = zeros.clone()
    dot[..., 5, 7] = 0.8
    assert fourier(zeros + 0.8 / 16, zeros) < 0.2 * fourier(dot, zeros)


def test_temporal_minds_flicker_and_neither_an_error_that_stays_nor_single_pictures():
    still = noise(1, 1, 3, 8, 8).expand(1, 4, 3, 8, 8)
    flicker = still + torch.tensor([0.1, -0.1, 0.1, -0.1]).view(1, 4, 1, 1, 1)
    assert temporal_difference(still + 0.3, still) == pytest.approx(0, abs=1e-6)
    assert temporal_difference(flicker, still) == pytest.approx(0.2, rel=1e-4)
    assert temporal_difference(flicker[:, :1], still[:, :1]) == 0


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Sequential, Path]:
    """VGG19 put together as torchvision does, with random weights, and its file."""
    torch.manual_seed(0)
    plan = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512, 0)
    layers: list[nn.Module] = []
    channels = 3
    for width in plan:
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()] if width else [nn.MaxPool2d(2)]
        channels = width or channels
    network = nn.Sequential(*layers)
    for layer in network:
        if isinstance(layer, nn.Conv2d):  # loud enough that the last layer still hears the first
            layer.weight.data.mul_(2.4)
    tensors = {f"features.{key}": value.half() for key, value in network.state_dict().items()}
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save(tensors | {"classifier.0.weight": torch.zeros(3, 3)}, path)
    network.load_state_dict({key.removeprefix("features."): value.float() for key, value in tensors.items()})
    return network.eval(), path


def test_vgg_gives_the_features_before_the_relu_of_the_published_network(published):
    network, path = published
    picture = noise(1, 3, 32, 48)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    x = (picture - mean) / std
    found = load_vgg(path)(picture)
    assert sorted(found) == [2, 7, 16, 25, 34]
    with torch.no_grad():
        for place, layer in enumerate(network):
            x = layer(x)
            if place in found:
                assert x.std() > 0.01
                assert torch.allclose(found[place], x, rtol=1e-3, atol=1e-4), place


def test_luma_is_seen_by_vgg_as_a_grey_picture(published):
    vgg = load_vgg(published[1])
    luma = noise(1, 1, 16, 16)
    assert torch.equal(vgg(luma)[34], vgg(luma.repeat(1, 3, 1, 1))[34])


def test_a_vgg_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"none\.pth does not exist"):
        load_vgg(tmp_path / "none.pth")


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        (
            {"features.0.weight": torch.zeros(64, 3, 3, 3)},
            r"features\.0\.bias \(64,\) is expected, it is not there",
        ),
        (
            {"features.0.weight": torch.zeros(64, 3, 7, 7)},
            r"\(64, 3, 3, 3\) is expected, it is \(64, 3, 7, 7\)",
        ),
    ],
)
def test_another_network_in_the_place_of_vgg_is_refused_in_words(tmp_path, tensors, reason):
    torch.save(tensors, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=rf"other\.pth is not VGG19 in torchvision's layout: .*{reason}"):
        load_vgg(tmp_path / "other.pth")


@pytest.mark.parametrize(("colors", "size"), [(1, (64, 64)), (3, (64, 96)), (3, (72, 64))])
def test_the_critic_judges_every_pixel(colors, size):
    judged, features = Critic(colors=colors, channels=4)(noise(2, colors, *size))
    assert judged.shape == (2, 1, *size)
    assert [feature.shape[1] for feature in features] == [4, 8, 16, 32, 16, 8, 4]
    assert [feature.shape[3] * 8 // size[1] for feature in features] == [8, 4, 2, 1, 2, 4, 8]


def test_the_critics_convolutions_are_held_to_norm_one():
    torch.manual_seed(0)
    critic = Critic(colors=1, channels=4)
    for layer in (*critic.down, *critic.up, *critic.last):
        layer.parametrizations.weight.original.data.mul_(50)
    for _ in range(30):
        critic(noise(1, 1, 16, 16))
    norms = [
        torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
        for layer in (*critic.down, *critic.up, *critic.last)
    ]
    assert torch.stack(norms).detach() == pytest.approx(torch.ones(8), rel=0.05)


def test_relativistic_is_nothing_where_the_better_is_judged_better_by_one_and_four_where_worse_by_one():
    high, low = torch.full((1, 1, 2, 2), 5.0), torch.full((1, 1, 2, 2), 4.0)
    assert relativistic(high, low) == 0
    assert relativistic(high, high) == 1
    assert relativistic(low, high) == 4


def test_the_critic_learns_to_tell_pictures_from_blurred_ones():
    torch.manual_seed(0)
    critic = Critic(colors=1, channels=4)
    optimizer = torch.optim.Adam(critic.parameters(), lr=2e-3)

    def pair(seed: int) -> tuple[Tensor, Tensor]:
        sharp = noise(4, 1, 1, 32, 32, seed=seed)
        return nn.functional.avg_pool2d(sharp[:, 0], 3, 1, 1, count_include_pad=False)[:, None], sharp

    first = critic_loss(critic, *pair(0)).item()
    for step in range(60):
        optimizer.zero_grad()
        critic_loss(critic, *pair(step)).backward()
        optimizer.step()
    assert critic_loss(critic, *pair(1000)).item() < 0.5 * first


def test_what_the_critic_learns_does_not_reach_the_network():
    output = noise(1, 1, 1, 16, 16).requires_grad_()
    critic = Critic(colors=1, channels=4)
    critic_loss(critic, output, noise(1, 1, 1, 16, 16, seed=1)).backward()
    assert output.grad is None
    assert critic.head.weight.grad is not None


ALONE: list[tuple[str, Callable[[Tensor, Tensor], Tensor]]] = [
    ("charbonnier", charbonnier),
    ("l1", nn.functional.l1_loss),
    ("fft", fourier),
    ("temporal", temporal_difference),
]


@pytest.mark.parametrize(("name", "loss"), ALONE)
def test_a_weight_counts_its_loss_and_no_other(name, loss):
    a, b = noise(2, 3, 1, 16, 16), noise(2, 3, 1, 16, 16, seed=1)
    total, parts = weigh(a, b, LossOptions(**{"charbonnier": 0.0} | {name: 3.0}))
    assert parts == {name: loss(a, b)}
    assert total == 3 * loss(a, b)


def test_all_losses_add_up_and_reach_the_network_alone(published):
    torch.manual_seed(0)
    vgg, critic = load_vgg(published[1]), Critic(colors=3, channels=4)
    options = LossOptions(
        charbonnier=1,
        l1=2,
        fft=0.5,
        perceptual=0.1,
        vgg="x",
        adversarial=0.3,
        feature_matching=0.7,
        temporal=4,
    )
    output, target = noise(1, 2, 3, 32, 32).requires_grad_(), noise(1, 2, 3, 32, 32, seed=1)
    total, parts = weigh(output, target, options, vgg=vgg, critic=critic)
    names = {"charbonnier", "l1", "fft", "perceptual", "adversarial", "feature_matching", "temporal"}
    assert parts.keys() == names
    assert all(part > 0 and not part.requires_grad for part in parts.values())
    assert total.item() == pytest.approx(
        sum(getattr(options, name) * float(parts[name]) for name in names), rel=1e-5
    )
    total.backward()
    assert output.grad is not None
    assert output.grad.abs().sum() > 0
    assert all(weight.requires_grad and weight.grad is None for weight in critic.parameters())


@pytest.mark.parametrize("name", ["charbonnier", "l1", "fft", "perceptual", "adversarial", "temporal"])
def test_a_step_down_the_gradient_of_a_loss_makes_it_smaller(published, name):
    torch.manual_seed(0)
    vgg, critic = load_vgg(published[1]), Critic(colors=3, channels=4).eval()
    options = LossOptions(**{"charbonnier": 0.0, "vgg": "x"} | {name: 1.0})
    output, target = noise(1, 2, 3, 16, 16).requires_grad_(), noise(1, 2, 3, 16, 16, seed=1)
    before, _ = weigh(output, target, options, vgg=vgg, critic=critic)
    (gradient,) = torch.autograd.grad(before, output)
    after, _ = weigh(output - 0.1 * gradient / gradient.norm(), target, options, vgg=vgg, critic=critic)
    assert after < before


def test_losses_of_parts_of_a_batch_have_the_mean_of_the_whole():
    torch.manual_seed(0)
    critic = Critic(colors=1, channels=4).eval()
    options = LossOptions(l1=1, fft=1, adversarial=1, feature_matching=1, temporal=1)
    a, b = noise(4, 3, 1, 16, 16), noise(4, 3, 1, 16, 16, seed=1)
    whole, _ = weigh(a, b, options, critic=critic)
    halves = [weigh(a[rank::2], b[rank::2], options, critic=critic)[0] for rank in range(2)]
    assert torch.stack(halves).mean().item() == pytest.approx(whole.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"charbonnier": 0.0}, "no loss has a weight"),
        ({"fft": -1.0}, "0 or more"),
        ({"feature_matching": -1.0}, "0 or more"),
        ({"perceptual": 1.0}, "perceptual needs vgg"),
        ({"feature_matching": 1.0}, "there is a critic with adversarial"),
        ({"critic_learning_rate": 0.0}, "critic_learning_rate above 0"),
        ({"critic_channels": 0}, "critic_channels"),
    ],
)
def test_losses_that_cannot_be_are_refused_in_words(values, reason):
    with pytest.raises(ConfigError, match=reason):
        LossOptions(**values)
