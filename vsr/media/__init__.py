"""Everything that touches PyAV, FFmpeg or picture files."""
