"""`vsr models`: what there is to choose from."""

from rich.console import Console
from rich.table import Table

from vsr.models.catalogue import load, names
from vsr.models.spec import ModelSpec


def models(*, debug: bool = False) -> int:
    """List the built-in models with their cost.

    Parameters
    ----------
    debug
        Show a traceback with an error.
    """
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "scale", "sees", "KFLOP/pixel", "trained on"):
        table.add_column(heading)
    for name in names():
        spec = load(name).spec
        table.add_row(name, f"x{spec.scale}", _sees(spec), f"{spec.kflop_per_pixel:.3g}", spec.trained_on)
    Console().print(table)
    return 0


def _sees(spec: ModelSpec) -> str:
    """Such as `luma, 3 frames, remembers`."""
    context = spec.context
    num_frames = context.before + context.emit + context.after
    parts = ["luma" if spec.in_channels == 1 else "RGB"]
    parts += [f"{num_frames} frames"] if num_frames > 1 else []
    parts += ["remembers"] if context.stateful else []
    return ", ".join(parts)
