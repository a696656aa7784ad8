"""`vsr eval`: test sets, clips, what time does to them, and the command itself."""

import json
import math
from collections.abc import Generator, Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.marks import needs_bf16

from vsr.cli.main import run
from vsr.engine import Engine
from vsr.errors import ConfigError, SourceError
from vsr.evaluation.candidates import Candidate, our_candidate
from vsr.evaluation.codec_damage import parse_compression, spoilt
from vsr.evaluation.score_clips import ReferenceClip, open_clip, score_clip
from vsr.evaluation.score_pictures import as_frame, score_set
from vsr.evaluation.test_sets import PicturePair, PictureSet, cut_to, reduced, told_of
from vsr.frames import Frame
from vsr.media.reading.source import ListSource
from vsr.models import Verdict, make_chain
from vsr.models.files.checkpoint import save_network
from vsr.models.networks.planes import PlanesNet
from vsr.models.networks.recurrent import RecurrentNet
from vsr.models.spec import Damage
from vsr.options import EngineOptions, ModelOptions
from vsr.quality.drawing import to_frame
from vsr.quality.grid import Gallery, hardest_detail
from vsr.quality.known_damage import DAMAGE_TABLE, KnownDamage, damaged
from vsr.quality.score import Judge, Score, mean_score
from vsr.quality.temporal import Steadiness, visible
from vsr.resample import enlarge


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Something that flow can follow: smooth noise of full contrast."""
    noise = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return (127 + 100 * smooth / np.abs(smooth).max()).astype(np.float32)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.stack([texture(height, width, seed + i) for i in range(3)], axis=2).astype(np.uint8)


def write_png(path: Path, rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), rgb[..., ::-1])


# Test sets of pictures


def test_reduced_versions_are_found_or_made(tmp_path: Path):
    rgb = picture(33, 41)
    write_png(tmp_path / "hr" / "a.png", rgb)
    write_png(tmp_path / "lr" / "ax2.png", reduced(cut_to(rgb, 2), 2))
    (given,) = PictureSet(tmp_path / "hr", tmp_path / "lr", 2)
    (made,) = PictureSet(tmp_path / "hr", None, 2)
    assert (given.name, given.high.shape, given.low.shape) == ("a", (32, 40, 3), (16, 20, 3))
    assert (given.low == made.low).all()
    assert (given.high == rgb[:32, :40]).all()


def test_test_sets_must_be_complete(tmp_path: Path):
    write_png(tmp_path / "hr" / "a.png", picture(33, 41))
    (tmp_path / "lr").mkdir()
    with pytest.raises(SourceError, match="holds no picture"):
        PictureSet(tmp_path / "hr", tmp_path / "lr", 2)
    write_png(tmp_path / "lr" / "b.png", picture(16, 20))
    with pytest.raises(SourceError, match="no version of a"):
        PictureSet(tmp_path / "hr", tmp_path / "lr", 2)
    write_png(tmp_path / "lr" / "a.png", picture(16, 19))
    with pytest.raises(SourceError, match="is 19x16; at scale 2 20x16 is expected"):
        list(PictureSet(tmp_path / "hr", tmp_path / "lr", 2))
    with pytest.raises(SourceError, match="not a folder"):
        PictureSet(tmp_path / "nowhere", None, 2)


@pytest.mark.parametrize(
    ("scale", "psnr", "ssim"), [(2, 33.97, 0.9329), (3, 30.63, 0.8718), (4, 28.63, 0.8138)]
)
def test_bicubic_has_its_known_scores_on_set5_however_the_small_ones_came(scale, psnr, ssim, test_data: Path):
    set5 = test_data / "testsets" / "Set5"
    scores = {}
    for low in (None, set5 / "LR_bicubic" / f"X{scale}"):
        result = score_set(our_candidate("bicubic", scale), PictureSet(set5 / "HR", low, scale), Judge(scale))
        assert [item.name for item in result.pictures] == ["baby", "bird", "butterfly", "head", "woman"]
        scores[low] = result.score
    made, given = scores.values()
    assert made == given
    assert made.psnr == pytest.approx(psnr, abs=0.01)
    assert made.ssim == pytest.approx(ssim, abs=0.0002)


def test_matlabs_bicubic_has_the_score_that_papers_print(test_data: Path):
    def run(frames: Iterable[Frame]) -> Generator[Frame, None, None]:
        for frame in frames:  # with antialiasing PyTorch takes MATLAB's kernel (a = -0.5)
            rgb = torch.from_numpy(np.stack(frame.planes).astype(np.float32))[None]
            large = torch.nn.functional.interpolate(rgb, scale_factor=2, mode="bicubic", antialias=True)
            yield to_frame(large[0].round().clamp(0, 255).byte().permute(1, 2, 0).numpy(), frame)

    pairs = PictureSet(test_data / "testsets" / "Set5" / "HR", None, 2)
    result = score_set(Candidate("matlab", 2, run, "fp32"), pairs, Judge(2))
    assert result.score.psnr == pytest.approx(33.66, abs=0.02)


def test_a_candidate_reaches_scales_its_network_does_not_have(tmp_path: Path):
    write_png(tmp_path / "a.png", picture(48, 64))
    pairs = PictureSet(tmp_path, None, 4)
    chained = our_candidate("fast-x2", 4)  # one resampling does the rest
    assert score_set(chained, pairs, Judge(4)).score.psnr > 20


def test_a_candidate_in_all_poses_gives_what_the_self_ensemble_of_a_job_gives():
    options = EngineOptions(device="cpu", precision="fp32")
    frame = as_frame(picture(24, 32))
    one, eight = (our_candidate("nano", 2, options, in_all_poses=poses) for poses in (False, True))
    wishes = ModelOptions(model=("nano",), self_ensemble=True)
    chain = make_chain(wishes, 2, Verdict(is_real=False, why="told"))
    (wanted,) = Engine(chain.models, options, size=(48, 64)).run([frame])
    (found,), (alone,) = list(eight.run([frame])), list(one.run([frame]))
    assert all(np.array_equal(*planes) for planes in zip(found.planes, wanted.planes, strict=True))
    assert not np.array_equal(alone.planes[1], found.planes[1])
    assert (eight.name, eight.kflop_per_pixel) == ("nano (self-ensemble)", 8 * one.kflop_per_pixel)


@needs_bf16
def test_baselines_stay_exact_whatever_precision_the_others_run_in():
    options = EngineOptions(device="cpu", precision="bf16")
    assert our_candidate("bicubic", 2, options).precision == "fp32"
    assert our_candidate("fast", 2, options).precision == "bf16"


def test_means_of_scores_leave_out_what_nobody_measured():
    mean = mean_score([Score(math.inf, 1.0, niqe=4.0), Score(20.0, 0.5, niqe=6.0)])
    assert mean == Score(60.0, 0.75, None, 5.0)
    assert mean_score([Score(math.inf, 1.0)]).psnr == math.inf
    assert math.isnan(mean_score([]).psnr)


# Steadiness


def steadiness_of(
    results: list[np.ndarray], originals: list[np.ndarray], cuts: tuple[int, ...] = ()
) -> Steadiness:
    steadiness = Steadiness()
    for index, (result, original) in enumerate(zip(results, originals, strict=True)):
        steadiness.add(result, original, cut=index in cuts)
    return steadiness


def pan(num_frames: int, step: int = 2) -> list[np.ndarray]:
    scene = texture(96, 160 + num_frames * step)
    return [scene[:, n * step : n * step + 160] for n in range(num_frames)]


def test_a_perfect_pan_has_hardly_any_warping_error():
    frames = pan(4)
    still = steadiness_of(frames, frames)
    assert still.warping_error < 1e-5
    assert still.warping_error == still.original_warping_error
    assert still.flicker_psnr == 100


def test_noise_of_its_own_in_every_frame_shows_in_both_measures():
    originals = pan(6)
    rng = np.random.default_rng(1)
    noisy = steadiness_of([frame + rng.normal(0, 5, frame.shape) for frame in originals], originals)
    assert noisy.flicker_psnr == pytest.approx(20 * math.log10(255 / (5 * math.sqrt(2))), abs=0.05)
    # Where flow falls between samples, their mean has less noise than one: between s² and 2 s².
    assert 1.3 * (5 / 255) ** 2 < noisy.warping_error < 2.05 * (5 / 255) ** 2


def test_an_error_that_moves_with_the_scene_does_not_flicker_and_one_that_stays_does():
    originals = pan(4)
    assert steadiness_of([frame + 7 for frame in originals], originals).flicker_psnr == 100
    stripes = np.tile(np.float32(np.arange(160) // 5 % 2 * 12), (96, 1))
    screen = steadiness_of([frame + stripes for frame in originals], originals)
    scene = steadiness_of([frame * 0.9 for frame in originals], originals)
    assert screen.flicker_psnr == 100  # the same in every frame
    assert (
        screen.warping_error > 10 * scene.warping_error
    )  # but it does not move along, a dirty window does not


def test_frames_across_a_cut_are_not_compared():
    a, b = [texture(64, 96, 1)] * 2, [texture(64, 96, 2)] * 2
    blind, told = steadiness_of(a + b, a + b), steadiness_of(a + b, a + b, cuts=(2,))
    assert told.warping_error < 1e-6 < blind.warping_error
    assert math.isnan(steadiness_of(a[:1], a[:1]).warping_error)


def test_hidden_and_outside_pixels_are_not_visible():
    back = np.zeros((20, 30, 2), np.float32)
    back[:, :5, 0] = -6  # comes from outside
    back[:, 20:, 0] = 3
    forth = np.zeros((20, 30, 2), np.float32)
    seen, places = visible(back, forth)
    assert not seen[:, :5].any()
    assert seen[:, 8:20].all()
    assert not seen[:, 22:26].any()  # the way back ends elsewhere
    assert places[0, 10].tolist() == [10, 0]


# Clips


def moving_clip(num_frames: int = 5, size: tuple[int, int] = (64, 96)) -> ListSource:
    scene = picture(size[0], size[1] + 2 * num_frames)
    like = as_frame(scene)
    frames = [
        replace(
            to_frame(scene[:, 2 * n : 2 * n + size[1]], like), pts=n, time_base=Fraction(1, 25), duration=1
        )
        for n in range(num_frames)
    ]
    return ListSource(frames)


def test_a_clip_scores_as_its_frames_do_alone():
    source = moving_clip()
    candidate, judge = our_candidate("fast", 2), Judge(2)
    result = score_clip(candidate, ReferenceClip(source, None, 2), judge)
    pairs = [
        (cut_to(rgb, 2), reduced(rgb, 2)) for rgb in (np.stack(f.planes, axis=2) for f in source.frames())
    ]
    alone = []
    for high, low in pairs:
        (enhanced,) = candidate.run([as_frame(low)])
        alone.append(judge.score(np.stack(enhanced.planes, axis=2), high))
    assert result.num_frames == 5
    assert result.score.psnr == pytest.approx(mean_score(alone).psnr, abs=0.01)
    assert result.score.ssim == pytest.approx(mean_score(alone).ssim, abs=1e-4)
    assert result.latency_frames == 0
    assert result.ms_per_frame > 0


def test_a_clip_beside_itself_is_perfect_and_steady():
    source = moving_clip()
    result = score_clip(our_candidate("identity", 1), ReferenceClip(source, source, 1), Judge(1))
    assert (result.score.psnr, result.flicker_psnr) == (math.inf, 100)
    assert result.warping_error == result.original_warping_error


def test_reduced_clips_of_other_lengths_are_refused():
    with pytest.raises(SourceError, match=r"the reduced version .* ends after 4 frames"):
        score_clip(our_candidate("identity", 1), ReferenceClip(moving_clip(5), moving_clip(4), 1), Judge(1))
    with pytest.raises(SourceError, match=r"the original .* ends after 3 frames"):
        score_clip(our_candidate("identity", 1), ReferenceClip(moving_clip(3), moving_clip(4), 1), Judge(1))


def test_a_harder_codec_costs_quality_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    clip, scores = ReferenceClip(moving_clip(6, (128, 192)), None, 2), []
    for text in ("x264:18", "x264:40", "mpeg4:2", "mpeg4:25"):
        with spoilt(clip, parse_compression(text)) as worse:
            assert worse.given is not None
            assert worse.given.info.codec in ("h264", "mpeg4")
            scores.append(score_clip(our_candidate("bicubic", 2), worse, Judge(2)).score.psnr)
    assert scores[0] > scores[1] + 1
    assert scores[2] > scores[3] + 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["x264", "x264:", ":3", "x264:a"])
def test_compressions_that_are_not_understood_are_explained(text: str):
    with pytest.raises(ConfigError, match="x264:32"):
        parse_compression(text)


# The grid


def test_the_detail_shown_is_where_the_error_is():
    original = picture(200, 300)
    result = original.copy()
    result[120:150, 210:240] ^= 128
    top, left, edge = hardest_detail(result, original)
    assert top <= 120
    assert top + edge >= 150
    assert left <= 210
    assert left + edge >= 240


def test_a_grid_has_a_row_per_picture_and_a_column_per_model():
    gallery = Gallery(["a", "b"])
    rgb = picture(100, 90)
    for heading in ("bicubic", "fast"):
        show = gallery.column(heading)
        for name in ("a", "b", "c"):
            show(name, rgb, rgb, Score(30.0, 0.9))
    drawn = gallery.draw()
    assert drawn.shape[1] == 3 * (72 * 3 + 8) + 8
    assert drawn.shape[0] == 2 * (72 * 3 + 2 * 26 + 8) + 8
    detail = drawn[8 + 26 : 8 + 26 + 216 : 3, 8 : 8 + 216 : 3]
    assert any((detail == rgb[y : y + 72, x : x + 72]).all() for y in range(29) for x in range(19))


# The command


def test_the_command_scores_a_folder_and_writes_json_and_a_grid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name in ("a", "b"):
        write_png(tmp_path / "hr" / f"{name}.png", picture(50, 70))
    out, grid = tmp_path / "scores.json", tmp_path / "grid.png"
    code = run(
        [
            "eval",
            str(tmp_path / "hr"),
            "--scale",
            "3",
            "--model",
            "nano",
            "--json",
            str(out),
            "--grid",
            str(grid),
        ]
    )
    assert code == 0
    printed = capsys.readouterr().out
    report = json.loads(out.read_text())
    assert [model["model"] for model in report["results"]] == ["bicubic", "nano"]
    assert [item["name"] for item in report["results"][0]["pictures"]] == ["a", "b"]
    assert f"{report['results'][1]['psnr']:.2f}" in printed
    assert cv2.imread(str(grid)).shape[1] == 3 * 224 + 8


def test_the_command_scores_a_clip(make_clip, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    clip, out = make_clip("a.mp4"), tmp_path / "scores.json"
    assert run(["eval", str(clip), "--model", "bicubic", "--frames", "4", "--json", str(out)]) == 0
    (model,) = json.loads(out.read_text())["results"]
    assert model["num_frames"] == 4
    assert {"psnr", "ssim", "warping_error", "flicker_psnr", "latency_frames", "ms_per_frame"} <= model.keys()
    assert "flicker" in capsys.readouterr().out


def test_the_command_scores_several_compressions_at_once(make_clip, tmp_path: Path, capsys):
    clip, out = make_clip("a.mp4", size=(96, 128), num_frames=4), tmp_path / "scores.json"
    words = ["--model", "bicubic", "--model", "nano", "--compress", "x264:20", "--compress", "x264:45"]
    assert run(["eval", str(clip), *words, "--json", str(out)]) == 0
    rows = json.loads(out.read_text())["results"]
    assert [row["model"] for row in rows] == ["bicubic", "nano"] * 2
    assert [row["source"][-7:] for row in rows] == ["x264:20"] * 2 + ["x264:45"] * 2
    assert rows[0]["psnr"] > rows[2]["psnr"] + 1
    assert "x264:45" in capsys.readouterr().out


def test_deblurring_is_scored_beside_the_blurred_pictures(shelf: Path, tmp_path: Path, capsys):
    for name in ("a", "b"):
        rgb = picture(40, 60)
        write_png(tmp_path / "sharp" / f"{name}.png", rgb)
        write_png(tmp_path / "blurred" / f"{name}.png", cv2.GaussianBlur(rgb, (0, 0), 2))
    out = tmp_path / "scores.json"
    words = ["--scale", "1", "--model", "identity", "--model", "deblur", "--json", str(out)]
    assert run(["eval", str(tmp_path / "sharp"), str(tmp_path / "blurred"), *words]) == 0
    blurred, deblurred = json.loads(out.read_text())["results"]
    rgb = picture(40, 60)
    assert blurred["psnr"] == pytest.approx(Judge(1).score(cv2.GaussianBlur(rgb, (0, 0), 2), rgb).psnr)
    assert deblurred["psnr"] != blurred["psnr"]
    assert deblurred["kflop_per_pixel"] > 0


def test_real_scores_every_kind_of_damage_and_colour_too(shelf: Path, tmp_path: Path, capsys):
    for name in "abc":
        write_png(tmp_path / "sharp" / f"{name}.png", picture(64, 80, ord(name)))
    out = tmp_path / "scores.json"
    words = ["--every", "2", "--model", "bicubic", "--model", "tiny", "--json", str(out)]
    assert run(["eval", "--real", str(tmp_path / "sharp"), *words]) == 0
    rows = json.loads(out.read_text())["results"]
    assert [row["source"] for row in rows[::2]] == [str(damage) for damage in DAMAGE_TABLE]
    assert [row["model"] for row in rows] == ["bicubic", "tiny"] * len(DAMAGE_TABLE)
    assert [item["name"] for item in rows[0]["pictures"]] == ["a", "c"]
    low = damaged(picture(64, 80, ord("a")), DAMAGE_TABLE[3])
    small = torch.from_numpy(low).permute(2, 0, 1)[None].float() / 255
    codes = enlarge(small, 4)[0].permute(1, 2, 0).mul(255).round().clamp(0, 255).numpy()
    wanted = Judge(4, with_chroma=True).score(codes, picture(64, 80, ord("a")))
    got = rows[6]["pictures"][0]["score"]
    for figure in ("psnr", "psnr_cb", "psnr_cr", "noise_left"):
        assert got[figure] == pytest.approx(getattr(wanted, figure), abs=0.02)
    printed = capsys.readouterr().out
    assert "Cb (dB)" in printed
    assert "x4 noise 25 JPEG 50 blur 1 " in printed


def test_a_network_is_told_the_noise_as_it_lies_in_the_pictures(tmp_path: Path):
    write_png(tmp_path / "grey.png", np.full((256, 256, 3), 128, np.uint8))
    damage = KnownDamage(2, noise=10)
    told = told_of(PictureSet(tmp_path, None, 2, damage=damage), damage)
    luma = math.sqrt(65.481**2 + 128.553**2 + 24.966**2) / 219  # of three colours, each with noise of its own
    assert told.noise == pytest.approx(10 * luma, rel=0.03)
    assert told.compression == 0
    stored = replace(damage, jpeg=40)
    assert told_of(PictureSet(tmp_path, None, 2, damage=stored), stored).compression == 0.6


@pytest.mark.slow
def test_a_network_does_otherwise_when_it_is_told(tmp_path: Path):
    torch.manual_seed(0)
    network = PlanesNet(channels=4, deep=4, depth=(0, 0, 0), scales=(2,), scale=2)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    save_network(tmp_path / "told.safetensors", network)
    clean, noisy = (
        next(our_candidate(str(tmp_path / "told.safetensors"), 2, told=told).run([as_frame(picture(32, 32))]))
        for told in (Damage(), Damage(noise=10))
    )
    assert (clean.planes[0] != noisy.planes[0]).any()


def test_pictures_of_a_set_are_streams_of_their_own_for_networks_with_a_memory(tmp_path: Path):
    torch.manual_seed(0)
    network = RecurrentNet(channels=4, depth=1, scale=2)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    path = tmp_path / "memory.safetensors"
    save_network(path, network)
    candidate, judge = our_candidate(str(path), 2), Judge(2)
    assert candidate.latency_frames == 1
    pairs = [
        PicturePair(str(seed), rgb, reduced(rgb, 2)) for seed in (1, 2) for rgb in (picture(40, 48, seed),)
    ]
    forward, backward = (score_set(candidate, order, judge).pictures for order in (pairs, pairs[::-1]))
    assert forward == backward[::-1]
    clip = score_clip(candidate, ReferenceClip(moving_clip(), None, 2), judge)
    assert (clip.num_frames, clip.latency_frames) == (5, 1)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "nothing to score"),
        (["nowhere"], "does not exist"),
        (["."], "holds no picture"),
        ([".", "--scale", "1"], "name the blurred version"),
        ([".", "--compress", "x264:30"], "are for clips"),
        ([".", "--grid", "a.jpg"], ".png is written"),
        ([".", "--real", "--blur", "focus", "--scale", "1"], "real goes by its own table"),
        ([".", "low", "--real"], "one folder of sharp pictures"),
        ([".", "--every", "0"], "every 0 is too small"),
        ([".", "--json", "no/such/folder.json"], "folder that exists"),
    ],
)
def test_mistakes_are_explained(words, line, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    assert run(["eval", *words]) in (1, 2)
    assert line in " ".join(capsys.readouterr().err.split())


def test_given_clips_must_fit_the_scale(make_clip):
    clip = make_clip("a.mp4")
    with pytest.raises(SourceError, match=r"at scale 2 .* is expected"):
        open_clip(clip, clip, 2)
