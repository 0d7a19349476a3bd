"""Traffic replayed in virtual time against a configuration: what would happen, without a call."""
