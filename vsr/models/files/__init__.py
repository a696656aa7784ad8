"""Checkpoints of every kind, read without running code of theirs."""
