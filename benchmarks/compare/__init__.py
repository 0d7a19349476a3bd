"""What a call costs with each of several clients, each in a separate environment."""
