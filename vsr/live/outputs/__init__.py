"""From enhanced frames to encoders, and from packets to the processes that send them."""
