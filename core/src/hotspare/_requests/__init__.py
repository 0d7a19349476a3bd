"""Checks of what callers pass, before any network call."""
