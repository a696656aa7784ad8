"""Pictures, with their metadata."""
