"""Decisions on record: a pool's scheduler whose every call is a line of a file, and the same scheduler fed with such a file."""
