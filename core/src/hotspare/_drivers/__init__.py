"""The only code that waits: threads, event loops, and what a fork needs."""
