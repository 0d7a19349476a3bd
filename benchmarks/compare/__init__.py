"""What a call costs with each of several clients, each in an environment of its own."""
