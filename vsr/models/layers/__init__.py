"""What networks are made of, and how their facts are found."""
