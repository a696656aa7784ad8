"""Segments done side by side, by processes of one machine or tasks of a cluster."""
