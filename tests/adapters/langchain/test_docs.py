"""The tables of docs/langchain.md agree with the code."""

import re
from pathlib import Path
from typing import Any

import langchain_hotspare
from langchain_core.exceptions import ModelError
from langchain_core.language_models import BaseChatModel
from langchain_hotspare import ChatHotspare

PAGE = (Path(__file__).parents[3] / "docs" / "langchain.md").read_text(encoding="utf-8")


def rows(title: str) -> list[list[str]]:
    """The table under a heading, cell by cell."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_defaults_table_lists_every_field() -> None:
    """Each of the model's own fields is listed, with its default."""
    shown = {name: cells[1] for cells in rows("Defaults") for name in re.findall(r"`(\w+)`", cells[0])}
    own = {name: field for name, field in ChatHotspare.model_fields.items() if name not in BaseChatModel.model_fields}
    assert shown.keys() == own.keys()
    for name, field in own.items():
        default: Any = field.get_default(call_default_factory=True)
        assert shown[name] in ("", f"`{default}`"), name


def test_the_exceptions_table_lists_every_class() -> None:
    """Each public error is listed, with LangChain's base class and `is_retryable`."""
    public = [getattr(langchain_hotspare, name) for name in langchain_hotspare.__all__]
    errors = {cls.__name__: cls for cls in public if isinstance(cls, type) and issubclass(cls, ModelError)}
    shown = {cells[0].strip("`"): cells for cells in rows("Exceptions")}
    assert shown.keys() == errors.keys()
    for name, cls in errors.items():
        assert shown[name][1].strip("`") in [parent.__name__ for parent in cls.__mro__]
        assert shown[name][3] == ("yes" if cls.is_retryable else "no")
