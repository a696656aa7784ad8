"""`python -m vsr`, which launchers of several processes want: `torchrun
--nproc-per-node=2 -m vsr train ...`."""

from vsr.cli.main import main

if __name__ == "__main__":
    main()
