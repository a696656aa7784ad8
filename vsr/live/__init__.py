"""Live streams: cameras in, enhanced streams out, for months."""
