"""What docs/streams.md says in figures and words is what the code has."""

import re
from dataclasses import fields
from pathlib import Path

from hotspare._engine.continuation import INSTRUCTION
from hotspare.drill.scenarios import SCENARIOS
from hotspare.messages import StreamSummary

PAGE = (Path(__file__).parents[2] / "docs" / "streams.md").read_text(encoding="utf-8")
CHAPTERS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M))


def test_the_receipt_is_shown_whole() -> None:
    """Every field, and none that there is not."""
    heads = re.findall(r"^\| (`[^|]+`) \|", CHAPTERS["The receipt"], re.M)
    assert set(re.findall(r"`([^`]+)`", "".join(heads))) == {field.name for field in fields(StreamSummary)}


def test_the_instruction_is_quoted_word_for_word() -> None:
    """What a model is told on the user's behalf, they should be able to read."""
    quoted = re.findall(r"^> (.*)$", CHAPTERS["How a text is continued"], re.M)
    assert " ".join(quoted) == INSTRUCTION


def test_the_drill_s_table_is_of_its_scenario() -> None:
    """A row for each pool that plays it."""
    shown = re.findall(r"^\| (\w+) \| \d+ ms \|", CHAPTERS["Slow is not dead: race or hedge"], re.M)
    assert shown == list(SCENARIOS["slow"].pools)
