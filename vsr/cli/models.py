"""`vsr models`: what there is to choose from."""

from rich.console import Console
from rich.table import Table

from vsr.models.catalogue import load, names


def models(*, debug: bool = False) -> int:
    """List the built-in models with their cost.

    Parameters
    ----------
    debug
        Show a traceback with an error.
    """
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "scale", "sees", "KFLOP per input pixel", "trained on"):
        table.add_column(heading)
    for name in names():
        spec = load(name).spec
        sees = "luma" if spec.in_channels == 1 else "RGB"
        table.add_row(name, f"x{spec.scale}", sees, f"{spec.kflop_per_pixel:.3g}", spec.trained_on)
    Console().print(table)
    return 0
