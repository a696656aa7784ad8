"""What `vsr eval` does: models scored on pictures and clips whose truth is known."""
