"""The tables and quotations of docs/streams.md agree with the code."""

import re
from dataclasses import fields
from pathlib import Path

from hotspare._engine.continuation import INSTRUCTION
from hotspare.drill.scenarios import SCENARIOS
from hotspare.messages import StreamSummary

PAGE = (Path(__file__).parents[2] / "docs" / "streams.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^##+ ([^\n]+)\n(.*?)(?=^##|\Z)", PAGE, re.S | re.M))


def test_each_field_of_the_stream_summary_is_described() -> None:
    """The table has every field of `StreamSummary`, and no other."""
    heads = re.findall(r"^\| (`[^|]+`) \|", SECTIONS["Stream summary"], re.M)
    assert set(re.findall(r"`([^`]+)`", "".join(heads))) == {field.name for field in fields(StreamSummary)}


def test_the_instruction_is_quoted_exactly() -> None:
    """The page quotes the instruction that is sent to a model without prefill."""
    quoted = re.findall(r"^> (.*)$", SECTIONS["How a text is continued"], re.M)
    assert " ".join(quoted) == INSTRUCTION


def test_the_table_of_the_slow_drill_has_its_pools() -> None:
    """The table has one row for each pool of the scenario `slow`, in the same order."""
    rows = re.findall(r"^\| (\w+) \| \d+ ms \|", SECTIONS["Slow targets: racing and hedging"], re.M)
    assert rows == list(SCENARIOS["slow"].pools)
