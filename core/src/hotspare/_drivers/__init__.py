"""The only code that waits: drivers for threads and event loops, and the handling of forks."""
