"""Replays traffic in virtual time against a configuration, without making a call."""
