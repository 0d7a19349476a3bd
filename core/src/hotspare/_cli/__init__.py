"""The `hotspare` command. The module of a subcommand is loaded when that subcommand is called."""
