"""YAML for `loader`: PyYAML's safe loader, made to reject duplicate keys (extra `yaml`)."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from hotspare.errors import ConfigError, Problem

_MAX_NODES = 100_000
"""Values in all, with every alias replaced; as in `variables`."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML silently keeps the last of two equal keys: here they are an error. So are aliases inside aliases that would fill the
    memory."""

    def get_single_node(self) -> yaml.Node | None:
        """The document; raises MarkedYAMLError if its aliases make it too large, or endless."""
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            _check_size(node, {})
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A table; raises MarkedYAMLError for a duplicate key."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.MarkedYAMLError(None, None, f"duplicate key {key.value!r}", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _check_size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """The number of nodes, with every alias replaced by its node. `sizes`: the known numbers by `id()` of the node; 0 while a node is
    being counted: an alias to it inside itself would never end."""
    known = sizes.get(id(node))
    if known is not None:
        if not known:
            raise yaml.MarkedYAMLError(None, None, "an alias inside the value that it refers to", node.start_mark)
        return known
    sizes[id(node)] = 0
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        children = [child for pair in node.value for child in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = list(node.value)
    size = 1 + sum(_check_size(child, sizes) for child in children)
    if size > _MAX_NODES:
        problem = f"more than {_MAX_NODES:,} values once the aliases are replaced"
        raise yaml.MarkedYAMLError(None, None, problem, node.start_mark)
    sizes[id(node)] = size
    return size


def parse(text: str, path: Path) -> Any:
    """The data in `text`. Raises ConfigError with the line of a syntax error."""
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader that rejects duplicate keys
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(Problem(f"{path}: {where}invalid YAML: {error.problem}")) from None
    except RecursionError:
        raise ConfigError(Problem(f"{path}: is nested too deeply: make it flatter")) from None
    # ValueError: a date that does not exist, an integer of over 4,300 digits.
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(Problem(f"{path}: invalid YAML: {error}")) from None
