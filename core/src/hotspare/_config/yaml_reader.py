"""YAML for `config.py`: PyYAML's safe loader, which here refuses a key that stands twice (extra `yaml`)."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from hotspare.errors import ConfigError, Problem


class _Unique(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys in silence; a config file must not lose a line that way."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A table, each of whose keys stands once."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.MarkedYAMLError(None, None, f"{key.value!r} stands twice in one table", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def parse(text: str, path: Path) -> Any:
    """The data in `text`. Raises ConfigError with the line of a syntax error."""
    try:
        return yaml.load(text, Loader=_Unique)  # noqa: S506 - a SafeLoader that refuses doubled keys
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(Problem(f"{path}: {where}no YAML: {error.problem}")) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(Problem(f"{path}: no YAML: {type(error).__name__}")) from None
