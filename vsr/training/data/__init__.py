"""What networks learn from: pictures, clips, and what spoils them."""
