"""The `hotspare` command."""
