"""Cameras on the page: run by a process of the server, or by a `vsr live` beside it; and the files that they write."""
