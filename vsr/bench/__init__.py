"""What `vsr bench` does: how fast this machine is, stage by stage, and why not faster."""
