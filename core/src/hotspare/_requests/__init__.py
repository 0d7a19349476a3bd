"""Validates the arguments of callers before any network call."""
