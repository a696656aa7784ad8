"""`vsr calibrate`: prepare a checkpoint for int8."""

from pathlib import Path

from vsr.cli.console import say
from vsr.training import calibrate_checkpoint


def calibrate_command(
    checkpoint: Path, *, data: tuple[str, ...], quiet: bool = False, debug: bool = False
) -> int:
    """Measure the activations of a network of our own on pictures, for --precision int8; `vsr train` does so by itself.

    Parameters
    ----------
    checkpoint
        .safetensors file of a plain network or one on planes; it is replaced.
    data
        Folders of pictures of the kind that the network is made for.
    quiet
        Print errors only.
    debug
        Show a traceback with an error.
    """
    calibrate_checkpoint(checkpoint, data)
    say(f"{checkpoint}: ready for --precision int8", quiet=quiet)
    return 0
