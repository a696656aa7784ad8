"""The ladder as Markdown, as `docs/models.md` shows it."""

from collections.abc import Iterable, Sequence

from vsr.evaluation import SCALES, SETS, TableRow

VIDEO, SMALL = "640x360", "320x240"

_ARTICLE = (
    ("EDSR", "32.9", "0.93", "220"),
    ("FSRCNN", "30.5", "0.87", "80"),
    ("bicubic", "28.1", "0.82", ""),
)
"""×3 on OpenCV, 320×240 input: PSNR, SSIM, ms as an article prints them."""


def markdown(rungs: Sequence[TableRow]) -> str:
    """All tables: clean networks, networks for damaged sources, networks at scale 1, and those at ×3."""
    larger = [rung for rung in rungs if rung.scale > 1]
    clean = [rung for rung in larger if "-real" not in rung.name]
    real = [rung for rung in larger if "-real" in rung.name]
    same_size = [rung for rung in rungs if rung.scale == 1]
    third = [rung for rung in clean if rung.scale == 3]
    parts = [_scores(clean)]
    if real:
        parts += ["Trained for compressed and noisy sources, which these clean sets are not:", _scores(real)]
    if same_size:
        head = "At ×1 (sharpness is measured by `vsr eval SHARP --scale 1 --blur focus`):"
        parts += [head, _at_scale_one(same_size)]
    if third:
        parts += ["×3 from 320×240, beside what an article prints for OpenCV:", _beside_the_article(third)]
    return "\n\n".join([*parts, _legend(rungs)])


def _scores(rungs: Sequence[TableRow]) -> str:
    by_name: dict[str, dict[int, TableRow]] = {}
    for rung in rungs:
        by_name.setdefault(rung.name, {})[rung.scale] = rung
    heads = [f"{name} ×{scale}" if scale == 2 else f"×{scale}" for name in SETS for scale in SCALES]
    rows: list[list[str]] = []
    for at in by_name.values():
        name = _name(next(iter(at.values())))
        cells = [name, _cost(at.get(2)), _ms(at.get(2), VIDEO), _ms(at.get(4), VIDEO)]
        rows.append(cells + [_score(at.get(scale), test_set) for test_set in SETS for scale in SCALES])
    return _table(["name", "KFLOP/pixel ×2", "ms ×2", "ms ×4", *heads], rows)


def _at_scale_one(rungs: Sequence[TableRow]) -> str:
    rows = [[_name(rung), _cost(rung), _ms(rung, VIDEO)] for rung in rungs]
    return _table(["name", "KFLOP/pixel", "ms"], rows)


def _beside_the_article(rungs: Sequence[TableRow]) -> str:
    rows = [
        [_name(rung), f"{rung.scores['Set5'].psnr:.2f}", f"{rung.scores['Set5'].ssim:.4f}", _ms(rung, SMALL)]
        for rung in sorted(rungs, key=lambda rung: rung.scores["Set5"].psnr)
    ]
    rows += [[f"the article: {name}", *figures] for name, *figures in _ARTICLE]
    return _table(["name", "Set5 ×3 PSNR", "SSIM", "ms"], rows)


def _legend(rungs: Sequence[TableRow]) -> str:
    ours = {rung.precision for rung in rungs if rung.is_ours}
    return (
        "PSNR in dB / SSIM on luma, borders of ×-many pixels cropped, reduced by MATLAB's bicubic. ms: per frame of a "
        "stream of 640×360 (320×240 in the last table) input frames in memory, median of three, all threads. "
        f"Our networks in {' and '.join(sorted(ours)) or 'fp32'}; baselines and OpenCV's networks in fp32."
    )


def _name(rung: TableRow) -> str:
    return f"`{rung.name}`" if rung.is_ours or rung.name in ("bicubic", "lanczos") else f"OpenCV {rung.name}"


def _cost(rung: TableRow | None) -> str:
    return "" if rung is None else f"{rung.kflop_per_pixel:.3g}"


def _ms(rung: TableRow | None, size: str) -> str:
    if rung is None:
        return ""
    ms = rung.ms_per_frame[size]
    return f"{ms:.0f}" if ms >= 100 else f"{ms:.3g}"


def _score(rung: TableRow | None, test_set: str) -> str:
    return "" if rung is None else f"{rung.scores[test_set].psnr:.2f} / {rung.scores[test_set].ssim:.4f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
