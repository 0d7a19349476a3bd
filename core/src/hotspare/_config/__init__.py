"""TOML, YAML, JSON or a mapping -> the settings of a Pool. Every mistake is reported with the path of its field."""
