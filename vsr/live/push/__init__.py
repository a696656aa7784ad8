"""One output as a process of its own, `python -m vsr.live.push`: playlists, recordings, servers."""
