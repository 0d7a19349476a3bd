"""The measured sections of docs/benchmarks.md. Each stands between `<!-- NAME -->` and `<!-- end of NAME -->`."""

from benchmarks.environments import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"


def write(section: str, text: str) -> None:
    """Replace a section by this text. Raises ValueError if the page does not have the section."""
    first, last = f"<!-- {section} -->\n", f"<!-- end of {section} -->\n"
    page = PAGE.read_text()
    head, begun, rest = page.partition(first)
    _, ended, tail = rest.partition(last)
    if not (begun and ended):
        raise ValueError(f"{PAGE.name} has no section {section!r}: it needs {first.strip()} and {last.strip()}")
    PAGE.write_text(f"{head}{first}\n{text.strip()}\n\n{last}{tail}")
