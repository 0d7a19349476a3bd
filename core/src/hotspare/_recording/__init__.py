"""Recordings: a scheduler that writes each of its method calls as a line of a file, and a replayer that repeats these calls from the file."""
