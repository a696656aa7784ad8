"""From a camera's address to its frames, for as long as it takes."""
