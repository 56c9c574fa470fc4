"""Pictures of saved tables."""
