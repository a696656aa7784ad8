"""Long work: from paths to finished files, in segments that resume, by one process, several, or a cluster."""
