"""Recordings: a scheduler that writes each of its calls as a line of a file, and a player that feeds such a file to a scheduler."""
