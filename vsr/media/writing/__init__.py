"""From frames to verified files: encode, join, verify."""
