"""`vsr doctor`: what works on this machine, and what to do about each gap."""

from vsr.cli.console import show
from vsr.machine import what_works


def doctor_command(*, debug: bool = False) -> int:
    """Say what works here: devices, precision, FFmpeg, and encoders by really encoding.

    Parameters
    ----------
    debug
        Show a traceback with an error.
    """
    for line in what_works():
        show(line)
    return 0
