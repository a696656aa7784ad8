"""Which frame runs next, through which networks, so that latency holds."""
