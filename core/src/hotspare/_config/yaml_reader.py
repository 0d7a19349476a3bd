"""YAML for `loader`: PyYAML's safe loader, made to reject duplicate keys (extra `yaml`)."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from hotspare.errors import ConfigError, Problem


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML silently keeps the last of two equal keys; a config file must not lose a line that way."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A table; raises MarkedYAMLError for a duplicate key."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.MarkedYAMLError(None, None, f"duplicate key {key.value!r}", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def parse(text: str, path: Path) -> Any:
    """The data in `text`. Raises ConfigError with the line of a syntax error."""
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader that rejects duplicate keys
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(Problem(f"{path}: {where}invalid YAML: {error.problem}")) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(Problem(f"{path}: invalid YAML: {type(error).__name__}")) from None
