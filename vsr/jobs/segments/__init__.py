"""Long jobs in pieces: where they are cut, how they are written, and the
journal that outlives a power cut."""
