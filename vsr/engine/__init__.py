"""Everything that touches a device: rings, batches, streams, precision, tiles."""
