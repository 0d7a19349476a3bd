"""For the API reference: entries of a class's docstring that name its fields become a section of attributes.

Classes of settings describe their fields in lines `name: meaning`, or `name, other: meaning`, without a heading above them;
`docs/defaults.py` reads the same entries for its tables.
"""

import re
from typing import Any

import griffe

NAMES = r"[a-z][a-z0-9_]*(?:, [a-z][a-z0-9_]*)*"
ENTRY = re.compile(rf"^({NAMES}): (.*?)(?=^{NAMES}: |^[^\W\d_]*:$|^$|\Z)", re.M | re.S)
INDENT = "    "


def with_attributes(text: str, fields: set[str]) -> str:
    """The docstring with its entries for these fields under `Attributes:`, one entry for each field."""
    entries = [found for found in ENTRY.finditer(text) if fields.issuperset(found[1].split(", "))]
    if not entries or re.search(r"^(?:Args|Attributes):$", text, re.M):
        return text
    lines = ["Attributes:"]
    for found in entries:
        meaning = found[2].rstrip().replace("\n", f"\n{INDENT}")
        lines += [f"{INDENT}{name}: {meaning}" for name in found[1].split(", ")]
    start, end = entries[0].start(), entries[-1].end()
    return f"{text[:start].rstrip()}\n\n" + "\n".join(lines) + f"\n\n{text[end:].lstrip()}"


class Attributes(griffe.Extension):
    """Rewrites the docstring of each class before it is parsed."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """`cls` has just been read, with its members."""
        if cls.docstring is not None:
            fields = {name for name, member in cls.members.items() if member.is_attribute}
            cls.docstring.value = with_attributes(cls.docstring.value, fields)
