"""`vsr` and `python -m vsr`, which launchers of several processes want: `torchrun
--nproc-per-node=2 -m vsr train ...`."""

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Run the command of the command line; Ctrl-C while it is loaded ends the process without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from vsr.cli.main import main as run_command

    run_command()


if __name__ == "__main__":
    main()
