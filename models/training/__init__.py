"""A training run: what defines it, its epochs, what it keeps, how it ends."""
