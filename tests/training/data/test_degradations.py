"""What the world does to pictures: each fault draws its strength from a range that includes none, by the seed alone,
and what a network is told of it is true."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from vsr.picture import as_rgb
from vsr.training.data import degrade, grain, storage
from vsr.training.data.degrade import Spoilt, cleanly, haar_detail, really, spoil
from vsr.training.data.footage import Pictures
from vsr.training.data.grain import NoiseKind, dusk, film_grain, night_noise, noisy, sensor_noise
from vsr.training.data.scaling import scaled, sharpened, soften
from vsr.training.data.storage import as_photos, as_video, coded
from vsr.training.data.tape import combed, from_tape


def scene(height: int = 48, width: int = 56, frames: int = 3) -> Pictures:
    """Soft shapes with edges that move by a pixel a frame, (T, H, W, 3)."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(30, 220, (height // 8, width // 8 + 1, 3), np.uint8)
    whole = cv2.resize(coarse, (width + frames, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    whole[height // 3 : height // 2, width // 4 : width // 2] = (220, 60, 90)
    return np.stack([whole[:, t : t + width] for t in range(frames)])


def grey(value: float, *, frames: int = 2, edge: int = 96) -> Pictures:
    return np.full((frames, edge, edge, 3), value, np.float32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def same_size(pictures: Pictures, r: np.random.Generator) -> Pictures:
    return scaled(pictures, (pictures.shape[1], pictures.shape[2]), r)


FAULTS: dict[str, Callable[[Pictures, np.random.Generator], Pictures]] = {
    "soften": lambda pictures, r: soften(pictures, 1.4, r),
    "sharpened": sharpened,
    "sensor_noise": sensor_noise,
    "film_grain": film_grain,
    "night_noise": night_noise,
    "combed": combed,
    "from_tape": from_tape,
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_comes_from_its_seed_alone(name):
    clip, fault = scene(), FAULTS[name]
    results = [fault(clip, rng(seed)) for seed in range(12)]
    for seed in (0, 7):
        assert np.array_equal(results[seed], fault(scene(), rng(seed)))
    for result in results:
        assert (result.shape, result.dtype) == (clip.shape, np.float32)
        assert np.isfinite(result).all()
    assert sum(not np.array_equal(result, clip) for result in results) >= (0 if name == "sharpened" else 4)
    assert np.array_equal(clip, scene())  # and nothing is written to what was given


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "from_tape"])
def test_a_fault_may_be_none_and_may_be_there(name):
    clip = scene(24, 24, 2)
    kept = [np.array_equal(FAULTS[name](clip, rng(seed)), clip) for seed in range(60)]
    assert 5 <= sum(kept) <= 57


def test_a_tape_may_be_nearly_as_good_as_new_or_worn():
    clip = scene()
    errors = [np.abs(from_tape(clip, rng(seed)) - clip).mean() for seed in range(40)]
    assert min(errors) < 3
    assert max(errors) > 8


def test_blur_keeps_brightness_and_takes_detail():
    clip = scene()
    blurred = [soften(clip, 2.0, rng(seed)) for seed in range(20)]
    sharpness = [float(cv2.Laplacian(each[0], cv2.CV_32F).var()) for each in blurred]
    assert all(abs(each.mean() - clip.mean()) < 1 for each in blurred)
    assert min(sharpness) < 0.3 * max(sharpness)


def test_every_scaler_keeps_shapes_where_they_are():
    clip, shapes = scene(64, 80, 1), []
    wanted = cv2.resize(clip[0], (31, 25), interpolation=cv2.INTER_AREA)
    for seed in range(30):
        small = scaled(clip, (25, 31), rng(seed))
        assert small.shape == (1, 25, 31, 3)
        assert np.abs(small[0] - wanted).mean() < 2
        shapes.append(small.tobytes())
    assert len(set(shapes)) == 5
    assert scaled(clip, (96, 120), rng()).shape == (1, 96, 120, 3)
    assert same_size(clip, rng()) is clip


KINDS = {
    "white": NoiseKind(),
    "grey": NoiseKind(common=1),
    "photons": NoiseKind(photons=True),
    "wide": NoiseKind(width=0.8),
    "blotchy": NoiseKind(blotches=0.6),
}


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_as_strong_as_it_says_and_new_in_every_frame(kind):
    clip = grey(128)
    noise = noisy(clip, 9, KINDS[kind], rng()) - clip
    strength = np.hypot(9, 9 * 0.6 * np.sqrt(2 / 3) * 0.8) if kind == "blotchy" else 9
    assert noise.std() == pytest.approx(strength, rel=0.1)
    assert abs(noise.mean()) < 0.5
    between = np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]
    assert abs(between) < 0.1
    colours = np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]
    assert colours == pytest.approx({"grey": 1, "blotchy": -0.13}.get(kind, 0), abs=0.06)
    neighbours = np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1]
    assert (neighbours > 0.1) == (kind in ("wide", "blotchy"))


def test_photons_make_more_noise_where_there_is_more_light():
    dark, bright = (noisy(grey(v), 9, NoiseKind(photons=True), rng()).std() for v in (32, 200))
    assert bright / dark == pytest.approx(np.sqrt(200 / 32), rel=0.1)


def test_grain_is_strongest_in_middle_tones_and_night_leaves_its_pattern():
    seed = next(s for s in range(20) if not np.array_equal(film_grain(grey(128), rng(s)), grey(128)))
    assert film_grain(grey(250), rng(seed)).std() < 0.6 * film_grain(grey(128), rng(seed)).std()
    still = grey(20, frames=24, edge=40)
    seed = next(s for s in range(20) if night_noise(still, rng(s)).std() > 4)
    noise = night_noise(still, rng(seed))
    halves = [half.mean((0, 1, 3)) for half in (noise[:12], noise[12:])]
    assert np.corrcoef(*halves)[0, 1] > 0.3


def test_night_is_darker_for_the_network_and_for_what_it_shall_find(monkeypatch):
    monkeypatch.setattr(degrade, "_AT_NIGHT", 1.0)
    monkeypatch.setattr(degrade, "CLEAN", 0.0)
    high = scene(48, 64, 1).astype(np.uint8)
    for seed in range(4):
        spoilt = spoil(high, 2, rng(seed))
        assert spoilt.high.mean() < 0.65 * high.mean()
        assert shown(spoilt).mean() == pytest.approx(spoilt.high.mean(), abs=6)
    assert dusk(scene(), rng()).max() < 0.65 * scene().max()


def test_a_comb_is_where_something_moves_and_nowhere_else():
    clip = scene()
    moving = next(combed(clip, rng(seed)) for seed in range(9) if (combed(clip, rng(seed)) != clip).any())
    lines = np.abs(moving - clip).mean((0, 2, 3))
    assert min(lines[0::2].max(), lines[1::2].max()) == 0
    still = np.repeat(clip[:1], 3, 0)
    assert all(np.array_equal(combed(still, rng(seed)), still) for seed in range(6))


def test_colour_of_a_tape_is_smeared_to_the_right():
    clip = grey(100, frames=1, edge=64)
    clip[:, :, 24:40] = (200, 60, 60)
    colour = np.mean(
        [(c := from_tape(clip, rng(s)))[0, 8:-8, :, 0] - c[0, 8:-8, :, 1] for s in range(12)], (0, 1)
    )
    assert colour[40:46].mean() > colour[18:24].mean() + 5


@pytest.mark.parametrize("store", [as_photos, as_video])
def test_storing_tells_how_strongly_it_compressed(store):
    clip = scene(96, 96, 4 if store is as_video else 1)
    clip += 12 * rng().standard_normal(clip.shape, np.float32)
    plain = coded(clip, siting="left")
    found = []
    for seed in range(24):
        stored, strength = store(clip, rng(seed))
        again, same = store(clip, rng(seed))
        assert strength == same
        assert torch.equal(stored[-1].luma, again[-1].luma)
        assert 0 <= strength <= 1
        found.append((strength, float((stored[-1].luma - plain[-1].luma).std())))
    weak, strong = (
        [error for strength, error in found if low <= strength < high] for low, high in ((0, 0.3), (0.6, 2))
    )
    assert min(strength for strength, _ in found) == 0
    assert np.mean(weak) < 0.7 * np.mean(strong)
    assert store(clip, rng(), stored=False)[1] == 0


def test_chroma_lies_where_its_format_says():
    """A coloured edge between two pixels: sited left, its chroma sample sees more of what is left of it."""
    clip = grey(100, frames=1, edge=64)
    clip[:, :, 33:] = (200, 60, 60)
    left, center = (coded(clip, siting=siting)[0] for siting in ("left", "center"))
    assert left.frame.format.siting == "left"
    edge = [float(picture.chroma[0, 1, 16, 16]) for picture in (left, center)]
    assert edge[0] < edge[1]
    back = [as_rgb(picture)[0].permute(1, 2, 0).numpy() * 255 for picture in (left, center)]
    assert all(np.abs(each - clip[0]).mean() < 3 for each in back)


def test_codecs_keep_chroma_where_it_was(monkeypatch):
    monkeypatch.setattr(storage, "_CODINGS", (storage._Coding("mpeg4", 1.0, 2, 2, 0, 24),))
    clip = np.repeat(scene(96, 96, 1), 3, 0)
    for seed in range(3):
        low, _ = as_video(clip, rng(seed))
        wanted = coded(clip, siting="left")[1].chroma
        moved = torch.roll(wanted, 1, 3)
        assert (low[1].chroma - wanted).abs().mean() < 0.5 * (low[1].chroma - moved).abs().mean()


def shown(spoilt: Spoilt) -> np.ndarray:
    return np.stack([as_rgb(picture)[0].permute(1, 2, 0).numpy() * 255 for picture in spoilt.low])


@pytest.mark.parametrize("frames", [1, 4])
def test_a_quarter_stays_clean_and_the_rest_is_told_as_it_is(frames):
    high = scene(96, 96, frames).astype(np.uint8)
    clean, told = 0, []
    for seed in range(32):
        spoilt = spoil(high, 2, rng(seed))
        assert len(spoilt.low) == frames
        assert spoilt.low[0].size == (48, 48)
        told.append((spoilt.damage.noise, spoilt.damage.compression))
        if told[-1] == (0, 0):
            clean += 1
            reduced = cleanly(high, 2, rng()) @ np.array([0.299, 0.587, 0.114])
            luma = np.concatenate([picture.luma[0].numpy() for picture in spoilt.low])
            assert np.abs(255 * luma - reduced).mean() < 2.5
    assert 3 <= clean <= 14
    assert max(noise for noise, _ in told) > 8
    assert max(strength for _, strength in told) > 0.5


@pytest.mark.parametrize("sigma", [4, 12, 25])
def test_the_noise_that_is_told_is_what_was_added(monkeypatch, sigma):
    """Grey noise of a photo that is neither sharpened nor compressed."""
    monkeypatch.setattr(degrade, "CLEAN", 0.0)
    monkeypatch.setattr(degrade, "_TWICE", 0.0)
    monkeypatch.setattr(degrade, "_recorded", lambda p, r, at_night: noisy(p, sigma, NoiseKind(common=1), r))
    monkeypatch.setattr(degrade, "as_photos", lambda p, r, stored=True: as_photos(p, r, stored=False))
    high = (0.5 * scene(160, 160, 1) + 64).astype(np.uint8)
    spoilt = spoil(high, 2, rng(1))
    assert spoilt.damage.noise == pytest.approx(sigma, rel=0.06)
    assert spoilt.damage.compression == 0


def test_diagonal_detail_of_white_noise_is_as_strong_as_the_noise():
    noise = torch.randn(1, 200, 201, generator=torch.Generator().manual_seed(0))
    assert float(haar_detail(noise).std()) == pytest.approx(1, rel=0.03)
    assert haar_detail(noise).shape == (1, 100, 100)


def test_networks_of_rgb_see_the_same_clip_spoilt():
    high = scene(48, 64, 4).astype(np.uint8)
    for seed in range(6):
        low = really(high, 2, rng(seed))
        assert (low.shape, low.dtype) == ((4, 24, 32, 3), np.uint8)
        assert np.abs(low - np.clip(shown(spoil(high, 2, rng(seed))), 0, 255)).max() <= 1


def test_strengths_of_noise_are_none_weak_or_any():
    r = rng()
    drawn = [grain.drawn_sigma(30, r) for _ in range(1000)]
    assert 0.2 < np.mean([sigma == 0 for sigma in drawn]) < 0.3
    assert 0.3 < np.mean([0 < sigma < 7.5 for sigma in drawn]) < 0.47
    assert max(drawn) > 28
