"""One file a network: layers, how its checkpoints are recognised, and its facts."""
