"""Validation of what callers hand in."""
