"""Long work: from paths to finished files. Later also segments, resume and clusters."""
