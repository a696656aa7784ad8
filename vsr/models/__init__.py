"""Facts of networks, the networks, checkpoints, the catalogue and the built-in weights."""
