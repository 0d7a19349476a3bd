"""An exception of any backend -> an Outcome: `evidence` reads the error, `rules` decides, `retry_after` finds the time."""
