"""From TOML, YAML, JSON or a mapping to a Pool, every mistake named with its place."""
