"""The only places that wait: they turn the engine's commands into calls and sleeps, and know nothing of health."""
