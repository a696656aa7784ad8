"""`vsr eval`: score models on a test set."""

from pathlib import Path
from statistics import mean
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from vsr.config import EngineOptions
from vsr.engine.engine import Engine
from vsr.frames import Frame
from vsr.models.catalogue import choose_chain
from vsr.models.spec import Model
from vsr.quality.metrics import evaluate_folder


def evaluate(
    hr: Annotated[Path, Parameter(show_default=False)],
    lr: Annotated[Path, Parameter(show_default=False)],
    /,
    *,
    model: tuple[str, ...] = ("bicubic", "nano", "fast"),
    scale: Literal[1, 2, 3, 4] = 2,
    engine: Annotated[EngineOptions, Parameter(name="*")] = EngineOptions(),
    debug: bool = False,
) -> int:
    """Score models on pairs of pictures: PSNR and SSIM on luma, borders of `scale` pixels cropped.

    Parameters
    ----------
    hr
        Folder of originals.
    lr
        Folder of their reduced versions.
    model
        Names, tiers or checkpoints, each scored on its own.
    scale
        Enlargement.
    debug
        Show a traceback with an error.
    """
    table = Table(box=None, pad_edge=False)
    for heading in ("model", "PSNR-Y (dB)", "SSIM-Y", "pictures"):
        table.add_column(heading)
    for name in model:
        models = choose_chain([name], scale)
        scores = evaluate_folder(lambda frame, models=models: _enlarge(frame, models, scale, engine), hr, lr, scale)
        psnr, ssim = mean(score.psnr for score in scores), mean(score.ssim for score in scores)
        table.add_row(name, f"{psnr:.2f}", f"{ssim:.4f}", str(len(scores)))
    Console().print(table)
    return 0


def _enlarge(frame: Frame, models: list[Model], scale: int, options: EngineOptions) -> Frame:
    """Enlarge one picture as `vsr enhance` would: the chain, then a resampling where it gives another size."""
    size = (frame.format.height * scale, frame.format.width * scale)
    (enhanced,) = Engine(models, options, size=size).run([frame])
    return enhanced
