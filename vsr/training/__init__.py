"""Data, losses and the loop that trains our own networks."""
