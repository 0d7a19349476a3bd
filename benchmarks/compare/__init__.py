"""The CPU and wall time of one call, with several clients, each in a separate environment."""
