"""From an exception or a response to an Outcome."""
