"""`vsr eval`: score models on a test set of pictures, or on a clip."""

import math
import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal, cast

from cyclopts import Parameter

from vsr.cli.console import check_writable, say, show, write_result
from vsr.cli.eval_view import Scored, flattened, print_scores, write_json
from vsr.cli.fetch_models import FetchFlags, fetch_named
from vsr.cli.flags import Flat
from vsr.cli.model_table_view import markdown
from vsr.engine import CPU_THREADS
from vsr.errors import ConfigError
from vsr.evaluation import (
    Candidate,
    PictureSet,
    ReferenceClip,
    measure_models,
    open_clip,
    our_candidate,
    parse_compression,
    score_clip,
    score_set,
    spoilt,
    told_of,
)
from vsr.media import SMALLEST_V1, Vmaf, has_vmaf_v1
from vsr.options import EngineOptions, at_least
from vsr.quality import DAMAGE_TABLE, ColorVideoVdp, Dists, Gallery, Judge, Lpips, Niqe, encode_png
from vsr.training import Kind, write_blurred

GRID_ROWS = 5
"""Pictures in a grid: more cannot be looked at side by side."""


@dataclass(frozen=True)
class EvalOptions:
    """What `vsr eval` can be told."""

    model: tuple[str, ...] = ()
    """Names, tiers or checkpoints, each scored on its own. Default: bicubic, nano and fast."""
    scale: Literal[1, 2, 3, 4] = 2
    """Enlargement; 1 for deblurring."""
    frames: int = 0
    """Score the first frames of a clip only; 0 for all."""
    every: int = 1
    """Of a folder score every so manieth picture."""
    real: bool = False
    """Blur, reduce, add noise to and compress a folder of sharp pictures by the table of docs/measuring.md, and
    score what comes back, colour too; brings its own scales."""
    self_ensemble: bool = False
    """Average every network over the eight turned and mirrored poses."""
    blur: Literal["", "motion", "focus"] = ""
    """Blur a folder of sharp pictures first, as `vsr train` does, and score what takes that off; scale 1."""
    compress: tuple[str, ...] = ()
    """Encode a clip's reduced version first, as ENCODER:CRF (x264:32) or
    mpeg4:QUANTISER; each is scored on its own."""
    vmaf: bool = False
    """Measure VMAF of clips, by the models of 2026 too where libvmaf has them; needs an FFmpeg with libvmaf."""
    lpips_backbone: str = ""
    """Measure LPIPS with this state dict of torchvision's vgg16 or alexnet."""
    lpips_heads: str = ""
    """LPIPS's linear heads for that backbone."""
    dists: str = ""
    """Measure DISTS with its authors' weights in this file, on that backbone, which is a vgg16 then."""
    cvvdp: bool = False
    """Measure ColorVideoVDP on a full-HD screen: 10 for no visible difference (extra cvvdp)."""
    niqe: str = ""
    """Measure NIQE with the parameters in this .npz file."""
    json: str = ""
    """Write all scores to this file."""
    grid: str = ""
    """Write a picture of details, original and every model side by side, to this PNG."""
    table: bool = False
    """Print the tables of docs/models.md: all networks on Set5 and BSD100, with
    time and cost. `--model` chooses some."""
    data: str = ""
    """Folder for the tables, with testsets/Set5/HR and testsets/BSD100; empty for $VSR_TEST_DATA."""
    debug: bool = False
    """Show a traceback with an error."""

    def __post_init__(self) -> None:
        at_least(1, every=self.every)
        if self.real and (self.blur or self.compress or self.frames or self.vmaf or self.grid):
            raise ConfigError(
                "real goes by its own table; blur, compress, frames, vmaf and grid do not go with it"
            )
        if self.blur and self.scale != 1:
            raise ConfigError(f"blur is scored at scale 1, not {self.scale}")
        for text in self.compress:
            parse_compression(text)
        if bool(self.lpips_backbone) != bool(self.lpips_heads or self.dists):
            raise ConfigError("lpips_backbone and lpips_heads or dists belong together; give both")
        if self.grid and Path(self.grid).suffix.lower() != ".png":
            raise ConfigError(f"grid {self.grid}: .png is written")
        check_writable(self.json, self.grid)

    @property
    def baseline(self) -> str:
        """What every model must beat."""
        return "identity" if self.scale == 1 else "bicubic"

    @property
    def models(self) -> tuple[str, ...]:
        """The models named, after the baseline where a grid needs it; else those that everybody has."""
        few = (self.baseline,) if self.scale == 1 else (self.baseline, "nano", "fast")
        few = ("bicubic", "fast-real", "base-real") if self.real else few
        return tuple(dict.fromkeys((self.baseline, *self.model) if self.grid else self.model)) or few


def eval_command(
    high: Annotated[Path | None, Parameter(show_default=False)] = None,
    low: Annotated[Path | None, Parameter(show_default=False)] = None,
    /,
    *,
    options: Annotated[EvalOptions, Flat] = EvalOptions(),
    engine: Annotated[EngineOptions, Flat] = EngineOptions(),
    fetch: Annotated[FetchFlags, Flat] = FetchFlags(),
) -> int:
    """Score models: PSNR and SSIM on luma, borders of `scale` pixels cropped;
    on clips also steadiness and time.

    Parameters
    ----------
    high
        Folder of original pictures, or an original clip.
    low
        Their reduced version. Default: made as MATLAB's bicubic reduction makes it.
    """
    fetch_named(options.model, fetch)
    if options.table:
        return _tables(options, engine)
    if high is None or not high.exists():
        missing = "nothing to score" if high is None else f"{high} does not exist"
        raise ConfigError(f"{missing}; a folder of pictures or a clip is expected")
    if options.scale == 1 and low is None and not (options.compress or options.blur):
        raise ConfigError("at scale 1 nothing is reduced; name the blurred version, too, or blur by --blur")
    if options.real:
        scored = _real(high, low, options, engine)
    elif options.blur:
        scored = _blurred(high, low, options, engine)
    else:
        scored = _pictures(high, low, options, engine) if high.is_dir() else _clip(high, low, options, engine)
    print_scores(scored)
    if options.json:
        report = {"original": str(high), "scale": options.scale, "results": flattened(scored)}
        write_json(options.json, report)
    return 0


def _tables(options: EvalOptions, engine: EngineOptions) -> int:
    data = options.data or os.environ.get("VSR_TEST_DATA")
    if not data:
        raise ConfigError("table: name the folder that holds testsets/Set5/HR and testsets/BSD100 by --data")
    rows = measure_models(Path(data), engine, only=options.model, say=say)
    show(markdown(rows))
    if options.json:
        write_json(options.json, {"rungs": [asdict(row) for row in rows]})
    return 0


def _real(sharp: Path, low: Path | None, options: EvalOptions, engine: EngineOptions) -> list[Scored]:
    """Every model on every row of the table; those that can be told their input's damage are told it."""
    if low is not None or not sharp.is_dir():
        raise ConfigError("real takes one folder of sharp pictures")
    scored, judge = list[Scored](), replace(_judge(options), with_chroma=True)
    for damage in DAMAGE_TABLE:
        pairs = PictureSet(sharp, None, damage.scale, damage=damage, every=options.every)
        told, of_scale = told_of(pairs, damage), replace(judge, border=damage.scale)
        say(f"{len(pairs)} pictures, {damage}")
        for name in options.models:
            say(f"{name} ...")
            candidate = our_candidate(
                name, damage.scale, engine, told=told, in_all_poses=options.self_ensemble
            )
            scored.append(Scored(str(damage), candidate, score_set(candidate, pairs, of_scale)))
    return scored


def _blurred(sharp: Path, low: Path | None, options: EvalOptions, engine: EngineOptions) -> list[Scored]:
    if low is not None or not sharp.is_dir():
        raise ConfigError("blur takes one folder of sharp pictures")
    with TemporaryDirectory(prefix="vsr-eval-") as folder:
        twin, blurred = Path(folder) / "sharp", Path(folder) / f"blurred by {options.blur}"
        for made in (twin, blurred):
            made.mkdir()
        write_blurred(sharp, cast(Kind, options.blur), high=twin, low=blurred)
        return _pictures(twin, blurred, options, engine)


def _pictures(high: Path, low: Path | None, options: EvalOptions, engine: EngineOptions) -> list[Scored]:
    if options.compress or options.frames or options.vmaf:
        raise ConfigError("compress, frames and vmaf are for clips, and this is a folder of pictures")
    pairs = PictureSet(high, low, options.scale, every=options.every)
    judge, source = _judge(options), _source(low)
    say(f"{len(pairs)} pictures, x{options.scale}, {source}")
    gallery = Gallery(pairs.names[:: -(-len(pairs) // GRID_ROWS)])
    scored: list[Scored] = []
    for candidate in _candidates(options, engine):
        result = score_set(candidate, pairs, judge, show=gallery.column(candidate.name))
        scored.append(Scored(source, candidate, result))
    _write_grid(gallery, options)
    return scored


def _clip(high: Path, low: Path | None, options: EvalOptions, engine: EngineOptions) -> list[Scored]:
    clip = open_clip(high, low, options.scale, num_frames=options.frames)
    judge, cvvdp = replace(_judge(options), cvvdp=None), ColorVideoVdp() if options.cvvdp else None
    vmaf = _vmaf(clip, engine) if options.vmaf else []
    num_frames = min(options.frames or math.inf, clip.original.info.num_frames or 1)
    gallery = Gallery({f"frame {int(num_frames * part / 4)}" for part in (1, 2, 3)})
    scored: list[Scored] = []
    for text in options.compress or ("",):
        source = f"{_source(low)}, {text}" if text else _source(low)
        say(f"{high.name}, x{options.scale}, {source}")
        with spoilt(clip, parse_compression(text)) if text else nullcontext(clip) as given:
            for candidate in _candidates(options, engine):
                show = gallery.column(f"{candidate.name} {text}".strip())
                result = score_clip(candidate, given, judge, vmaf=vmaf, cvvdp=cvvdp, show=show)
                scored.append(Scored(source, candidate, result))
    _write_grid(gallery, options)
    return scored


def _source(low: Path | None) -> str:
    return low.name if low else "MATLAB's bicubic"


def _vmaf(clip: ReferenceClip, engine: EngineOptions) -> list[Vmaf]:
    """The meter that everybody has, and the newer one where libvmaf has it and the picture is large enough."""
    format, threads = clip.original.info.format, engine.threads or CPU_THREADS
    newer = min(format.height, format.width) >= SMALLEST_V1 and has_vmaf_v1()
    return [Vmaf(threads=threads), *([Vmaf(threads=threads, model="v1")] if newer else [])]


def _judge(options: EvalOptions) -> Judge:
    return Judge(
        options.scale,
        lpips=Lpips(options.lpips_backbone, options.lpips_heads) if options.lpips_heads else None,
        niqe=Niqe(options.niqe) if options.niqe else None,
        cvvdp=ColorVideoVdp() if options.cvvdp else None,
        dists=Dists(options.lpips_backbone, options.dists) if options.dists else None,
    )


def _candidates(options: EvalOptions, engine: EngineOptions) -> Iterator[Candidate]:
    for name in options.models:
        say(f"{name} ...")
        yield our_candidate(name, options.scale, engine, in_all_poses=options.self_ensemble)


def _write_grid(gallery: Gallery, options: EvalOptions) -> None:
    if not options.grid:
        return
    write_result(options.grid, encode_png(gallery.draw()))
    say(f"written: {options.grid}")
