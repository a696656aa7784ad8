"""The same network as other runtimes run it, on the same pictures and threads."""
