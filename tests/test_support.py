"""Support: what a source confirms of a result is told from what it does not, and what is promised of it holds."""

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vsr.cli.main import run
from vsr.engine import Engine
from vsr.errors import VsrError
from vsr.media.probe_video import probe
from vsr.models import Damage, all_models, load
from vsr.options import EngineOptions
from vsr.quality import as_frame
from vsr.support.calibrating import calibrate_support, degradations
from vsr.support.conformal import risk_of, threshold_of
from vsr.support.disagreement import Doubters
from vsr.support.lumas import nominal_luma
from vsr.support.reading_text import unread
from vsr.support.recurrence import confirmed_by
from vsr.support.reductions import KERNELS, Reduction, best_reduction
from vsr.support.scoring import QUICK, contrast_of_tenths, learn
from vsr.support.signals import Signals, rms_of, signals_of
from vsr.support.support_report import Region
from vsr.support.tables import ANY, calibration_of, read_calibration, with_tables_kept, written

CPU = EngineOptions(device="cpu", threads=1)
LARGE, SMALL = (96, 144), (48, 72)
ASTRONAUT = Path(__file__).resolve().parents[1] / "samples" / "astronaut.png"


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Gray, (192, 256) uint8."""
    found = cv2.imread(str(ASTRONAUT), cv2.IMREAD_GRAYSCALE)
    assert found is not None
    return np.asarray(found[:192])


def as_luma(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32))


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_is_unseen_vanishes_when_it_is_reduced(kernel):
    noise = torch.from_numpy(np.random.default_rng(0).normal(128, 30, LARGE).astype(np.float32))
    for blur, small in ((0.0, SMALL), (0.3, SMALL), (0.0, (40, 61))):
        reduction = Reduction(kernel, blur, LARGE, small)
        reduced = reduction.down(noise)
        unseen = noise - reduction.up(reduced)
        assert reduced.shape == small
        assert reduction.down(unseen).abs().mean() < 0.03 * unseen.abs().mean() + 0.2
        assert unseen.std() > 15


def test_the_reduction_that_was_made_is_found(picture):
    large = as_luma(picture)
    for made in (
        Reduction("area", 0.0, large.shape, (96, 128)),
        Reduction("bicubic", 0.0, large.shape, (96, 128)),
        Reduction("lanczos", 0.5, large.shape, (64, 86)),
    ):
        assert best_reduction([(made.down(large).round(), large)]) == made


def test_a_block_that_contradicts_the_source_stands_out(picture):
    large = as_luma(picture)
    reduction = Reduction("area", 0.0, large.shape, (96, 128))
    source = reduction.down(large).round()
    painted = large.clone()
    painted[64:80, 96:112] = 255 - painted[64:80, 96:112]
    excess = signals_of(source, painted, reduction, 1.0).excess
    assert excess[4, 6] > 10
    excess[4, 6] = 0
    assert excess.max() < 1


def test_checks_that_a_reduction_cannot_see_count_as_unseen(picture):
    large = as_luma(picture)
    reduction = Reduction("area", 0.0, large.shape, (96, 128))
    board = torch.tensor([[9.0, -9.0], [-9.0, 9.0]]).repeat(8, 8)
    painted = large.clone()
    painted[64:80, 96:112] += board
    before, after = (signals_of(reduction.down(large), each, reduction, 1.0) for each in (large, painted))
    assert after.unseen[4, 6] ** 2 - before.unseen[4, 6] ** 2 == pytest.approx(81, abs=40)
    assert after.round_trip[4, 6] < 0.1


def test_a_threshold_keeps_its_promise_and_is_the_largest_that_does():
    draw = np.random.default_rng(1)

    def pictures(count):
        errors = [draw.gamma(2, 0.02, 60).clip(0, 1) for _ in range(count)]
        return [(error * draw.lognormal(0, 0.3, 60), error) for error in errors]

    held = pictures(200)
    for alpha in (0.05, 0.1):
        threshold = threshold_of(held, alpha)
        count = len(held) + 1
        assert (risk_of(held, threshold) * len(held) + 1) / count <= alpha
        assert (risk_of(held, np.nextafter(threshold, np.inf)) * len(held) + 1) / count > alpha
        assert risk_of(pictures(200), threshold) <= alpha
    assert threshold_of(held[:8], 0.1) == -np.inf
    assert threshold_of(held, 2.0) == np.inf


def test_no_signal_lowers_a_score(picture):
    large = as_luma(picture)
    reduction = Reduction("area", 0.0, large.shape, (96, 128))
    signals = signals_of(reduction.down(large), large, reduction, 1.0)
    scoring = learn(QUICK, [(signals, 3 + signals.detail - 0.2 * signals.unseen)])
    assert min(scoring.powers.values()) >= 0
    more = replace(signals, round_trip=signals.round_trip + 40)
    assert (scoring.score(more) >= scoring.score(signals)).all()
    assert scoring.score(more).min() > 39, "an error that is seen is not below what is expected"


def test_tables_are_told_apart_by_their_sources():
    calibration = calibration_of(ANY)
    assert not calibration.for_model
    assert calibration.table_for(Damage(), "quick").degradation == "clean"
    assert calibration.table_for(Damage(9, 0.5), "quick").degradation != "clean"


def test_what_contradicts_its_source_is_supported_by_no_table():
    size = np.ones((2, 2), np.float32)
    gross = Signals(100 * size, size, 100 * size, 9 * size, size, size, 1.0, disagreement=size)
    for model in (ANY, "fast-x2", "base-x2", "fast-real-x2", "base-sharp-x4"):
        assert not any(table.steps(gross)[1].any() for table in calibration_of(model).tables), model


def test_where_another_texture_would_not_show_is_told():
    def told(strength: float, noise: float) -> bool:
        size = np.ones((1, 1), np.float32)
        signals = Signals(size, size, size, np.hypot(strength, noise) * size, size, size, noise)
        return bool(signals.exchangeable.all())

    assert told(5, noise=6), "weak texture under strong noise"
    assert not told(40, noise=6)
    assert not told(5, noise=1)


def test_busy_surroundings_raise_a_block(picture):
    large = as_luma(picture)
    reduction = Reduction("area", 0.0, large.shape, (96, 128))
    signals = signals_of(reduction.down(large), large, reduction, 1.0)
    assert signals.around.shape == signals.fine.shape == (12, 16)
    assert signals.around.std() < signals.source_fine.std()
    one = np.zeros((12, 16), np.float32)
    one[6, 8] = 40
    spread = replace(signals, source_fine=one).around
    assert spread[6, 8] > spread[6, 12] > spread[0, 0] > 0


def test_what_other_frames_confirm_raises_no_block(picture):
    large = as_luma(picture)
    reduction = Reduction("area", 0.0, large.shape, (96, 128))
    signals = signals_of(reduction.down(large), large, reduction, 1.0)
    confirmed = replace(signals, confirmed=np.ones_like(signals.unseen))
    assert confirmed.prior_share.max() == 0 < signals.prior_share.max()
    for table in calibration_of("fast-x2").tables:
        if table.look == "quick":
            assert (table.steps(confirmed)[0] == table.steps(signals)[0]).all()


def test_a_quick_calibration_keeps_the_tables_of_the_other_look(tmp_path):
    made, path = calibration_of("fast-x2"), tmp_path / "fast-x2.support.json"
    quick = replace(made, tables=[table for table in made.tables if table.look == "quick"])
    assert with_tables_kept(quick, path) == quick
    path.write_bytes(written(made))
    assert {table.look for table in with_tables_kept(quick, path).tables} == {"quick", "full"}


def test_networks_are_calibrated_by_what_they_are_made_for():
    kinds = {name: list(degradations(load(name))) for name in ("fast-x2", "fast-real-x2", "fast-real-x1")}
    assert kinds["fast-x2"] == ["clean", "compressed"]
    assert kinds["fast-real-x2"] == ["clean", "compressed", "heavy"]
    assert kinds["fast-real-x1"] == ["compressed", "heavy"]  # a clean picture of its own size is the truth
    for name in kinds:
        tables = [table for table in calibration_of(name).tables if table.look == "quick"]
        assert [table.degradation for table in tables] == kinds[name]
    ours = [facts.name for facts in all_models() if facts.tier and facts.path.is_file()]
    assert [name for name in ours if not calibration_of(name).for_model] == []


def test_tenths_are_not_held_against_one_without_error():
    scores, errors = np.arange(20.0), np.arange(20.0)
    assert contrast_of_tenths(scores, errors) == pytest.approx(math.sqrt((18**2 + 19**2) / (0**2 + 1**2)))
    assert contrast_of_tenths(scores, np.where(scores < 10, 0.0, errors)) is None


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,0,4", "a,b,c,d", "-1,0,4,4"])
def test_a_region_that_is_none_is_refused(text):
    with pytest.raises(Exception, match="X,Y,WIDTH,HEIGHT"):
        Region.parse(text)


def test_a_planted_letter_is_found_by_the_command(picture, tmp_path, capsys):
    small = cv2.resize(picture, (128, 96), interpolation=cv2.INTER_AREA)
    faked = picture.copy()
    cv2.putText(faked, "R", (100, 100), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 255, 3)
    for name, pixels in (("small", small), ("true", picture), ("faked", faked)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), pixels)
    source, report = str(tmp_path / "small.png"), tmp_path / "report.json"
    found = {}
    for name in ("true", "faked"):
        words = ["support", source, str(tmp_path / f"{name}.png"), "-o", str(report), "--overwrite"]
        drawn = str(tmp_path / f"{name}-map.png")
        assert run([*words, "-o", drawn, "--region", "48,36,16,16", "--region", "0,64,32,16"]) == 0
        found[name] = json.loads(report.read_text())["frames"][0]
        assert cv2.imread(drawn).shape == (192, 256, 3)
    letter, elsewhere = found["faked"]["regions"]
    assert letter["contradicts_source"] >= 0.5 > found["true"]["regions"][0]["contradicts_source"]
    assert letter["supported"] < found["true"]["regions"][0]["supported"] + 1e-9
    assert elsewhere == found["true"]["regions"][1]
    assert "no promise" in capsys.readouterr().out


def test_a_clip_gets_a_map_without_the_sound_of_its_source(make_clip, tmp_path):
    source = make_clip("small.mp4", num_frames=4, audio=True)
    result = make_clip("large.mp4", num_frames=4, size=(96, 128))
    out = tmp_path / "map.mkv"
    assert run(["support", str(source), str(result), "-o", str(out), "-o", str(tmp_path / "r.json")]) == 0
    info = probe(out)
    assert (info.format.height, info.format.width, info.others) == (48, 64, ())
    assert len(json.loads((tmp_path / "r.json").read_text())["frames"]) == 4
    fewer = ["--frames", "2", "-o", str(tmp_path / "few.json")]
    assert run(["support", str(source), str(result), *fewer]) == 0
    assert [each["number"] for each in json.loads((tmp_path / "few.json").read_text())["frames"]] == [0, 2]


def test_what_cannot_be_compared_is_said_in_a_line(make_clip, tmp_path, capsys):
    small, large = make_clip("a.mp4", num_frames=2), make_clip("b.mp4", num_frames=2, size=(96, 128))
    wide = make_clip("w.mp4", num_frames=2, size=(96, 192))
    for words, line in (
        ([large, small], "larger is accepted"),
        ([small, wide], "another shape"),
        ([small, large, "--region", "60,40,16,16"], "not within the source"),
        ([small, large, "-o", tmp_path / "x.txt"], "are written"),
        ([small, large, "--full"], "--model"),
        ([small, large, "--model", "nonsense"], "vsr models"),
    ):
        assert run(["support", *map(str, words)]) in (1, 2)
        assert line in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "x.txt").exists()


def test_the_network_disagrees_where_the_source_does_not_decide(picture):
    small = cv2.resize(picture, (128, 96), interpolation=cv2.INTER_AREA)
    source = as_frame(np.repeat(small[..., None], 3, 2))
    model = load("fast-x2")
    (result,) = Engine([model], CPU).run([source])
    luma = nominal_luma(result)
    found = Doubters([model], CPU, compression=0.3).disagreement(source, luma)
    contrast = signals_of(as_luma(small), luma, Reduction("area", 0.0, (192, 256), (96, 128)), 1.0).detail
    busy, flat = contrast > np.quantile(contrast, 0.9), contrast < np.quantile(contrast, 0.1)
    assert found.shape == (12, 16)
    assert 5 * found[flat].mean() < found[busy].mean() < 20, "shifts and poses are undone exactly"
    painted = luma.clone()
    painted[:16, :16] += 40
    assert Doubters([model], CPU, compression=0.3).disagreement(source, painted)[0, 0] > found[0, 0] + 4


def test_other_frames_confirm_what_is_there_and_not_what_is_painted(picture):
    large = np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.7), np.float32)

    def view(down: float, right: float) -> torch.Tensor:
        to = np.float32([[1, 0, -8 - right], [0, 1, -8 - down]])
        return torch.from_numpy(cv2.warpAffine(large, to, (240, 176), flags=cv2.INTER_CUBIC))

    true = view(0, 0)
    reduction = Reduction("area", 0.0, (176, 240), (88, 120))
    source = reduction.down(true)
    unseen = true - reduction.up(source)
    painted = reduction.up(source) + torch.roll(unseen, (20, 30), (0, 1))
    strong = rms_of(unseen, (88, 120))
    strong = strong > np.quantile(strong, 0.6)

    def share(result: torch.Tensor, moved: float) -> float:
        others = [reduction.down(view(moved, moved)), reduction.down(view(-moved, -moved))]
        return float(confirmed_by(source, result, others, reduction, 0.5)[strong].mean())

    assert share(true, 1.0) > 0.8, "half a source pixel"
    assert share(painted, 1.0) < 0.3
    assert share(true, 0.0) < 0.3, "what stands still shows its other samples nowhere"


def test_enhance_measures_its_own_result(make_clip, tmp_path):
    source = make_clip("clip.mp4", num_frames=3, audio=True)
    out = tmp_path / "out.mp4"
    names = ["--support", "_map.mkv", "--support", "_map.png", "--support", ".json", "--support", "full"]
    words = [
        "enhance",
        str(source),
        "--model",
        "fast-x2",
        "-o",
        str(out),
        "--device",
        "cpu",
        "--crop-top",
        "8",
    ]
    assert run([*words, *names]) == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert (report["model"], len(report["frames"])) == ("fast-x2", 3)
    assert report["frames"][0]["disagreement"] > 0
    assert "confirmed_by_time" in report["frames"][1]
    assert probe(tmp_path / "out_map.mkv").format.height == 40
    assert (tmp_path / "out_map.png").exists()
    assert run([*words, *names]) == 1, "nothing is replaced unasked"


def test_support_of_several_results_takes_endings(tmp_path, capsys):
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((32, 32, 3), 90, np.uint8))
    both = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    words = ["enhance", *both, "--model", "fast-x2", "--device", "cpu", "-o", str(tmp_path / "out")]
    for wrong in ("x.json", "full"):
        assert run([*words, "--support", wrong]) == 2
    assert "_map.png" in capsys.readouterr().err
    assert run([*words, "--support", ".json"]) == 0
    assert len(list((tmp_path / "out").glob("*.json"))) == 2


def test_letters_that_another_text_lacks():
    assert unread("KX 48 29", "KX4829") == ""
    assert unread("KX4829", "KX4B29") == "8"
    assert unread("OPEN", "") == "OPEN"
    assert unread("", "OPEN") == ""


def test_a_letter_that_is_only_in_the_result_is_listed(tmp_path, capsys):
    pytest.importorskip("rapidocr")
    for name, text, side in (("small", "KX4829", 2), ("true", "KX4829", 1), ("faked", "KX4B29", 1)):
        plate = np.full((128, 512, 3), 225, np.uint8)
        cv2.putText(plate, text, (40, 90), cv2.FONT_HERSHEY_SIMPLEX, 2.4, (20, 20, 20), 6, cv2.LINE_AA)
        small = cv2.resize(plate, None, fx=1 / side, fy=1 / side, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(tmp_path / f"{name}.png"), small)
    said = {}
    for name in ("true", "faked"):
        assert run(["support", str(tmp_path / "small.png"), str(tmp_path / f"{name}.png"), "--text"]) == 0
        said[name] = capsys.readouterr().out
    assert "no character is read" in said["true"]
    assert "'B' in 'KX4B29' is not in the source" in said["faked"]


def test_calibration_keeps_its_promise_on_pictures_it_has_not_seen(picture, tmp_path):
    draw = np.random.default_rng(3)
    for number in range(64):
        grain = cv2.GaussianBlur(
            draw.normal(0, 60, (112, 112)).astype(np.float32), (0, 0), draw.uniform(0.6, 3)
        )
        top, left = draw.integers(0, 80), draw.integers(0, 144)
        drawn = np.clip(picture[top : top + 112, left : left + 112] + grain, 0, 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), drawn)
    said: list[str] = []
    pictures = sorted(tmp_path.glob("*.png"))
    made, sharpened, for_any = calibrate_support(
        ["fast-x2", "deblur-x1"], pictures, full=False, tell=said.append
    )
    assert [table.degradation for table in sharpened.tables] == ["blurred", "compressed"]
    assert len(said) == 4
    assert for_any.model == ANY
    assert for_any.tables == made.tables  # what only sharpens has no part in it
    assert [table.degradation for table in made.tables] == ["clean", "compressed"]
    for table in made.tables:
        assert table.tested.rank_correlation > 0.5
        assert table.tested.risk["0.1"] <= 0.1
        assert table.tested.splits_kept["0.1"] >= 19
    path = tmp_path / "fast-x2.support.json"
    path.write_bytes(written(made))
    again = read_calibration(path)
    assert written(again) == path.read_bytes()
    with pytest.raises(VsrError, match="60 or more"):
        list(calibrate_support(["fast-x2"], pictures[:8], full=False))
    path.write_text("{}")
    with pytest.raises(VsrError, match="no tables of support"):
        read_calibration(path)
