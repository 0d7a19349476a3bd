"""A wire format is one folder: what else in the core names it is listed here, with the reason, and nothing joins unnoticed."""

import pytest
from hotspare.drill.provider import Provider

from benchmarks.wires import MODELS, PROVIDERS_NAMED, having, lines, naming, table, wires

TABLE = {
    "messages.py": "the type `Dialect`: the keys of a request's `extra`, for type checkers",
    "providers/presets.py": "which provider has which wire",
}
"""What names every wire: two lines for a new one."""
ALSO: dict[str, dict[str, str]] = {
    "openai": {
        "providers/embeddings.py": "embeddings are part of the same API",
        "providers/responses/request.py": "OpenAI's two APIs share the knowledge of its models",
        "providers/responses/wire.py": "and the flavors of compatible servers",
    },
    "responses": {"target.py": "`api`: which of OpenAI's two APIs a target is called by"},
    "anthropic": {"providers/cloud.py": "clouds serve it under addresses of their own"},
    "gemini": {
        "providers/cloud.py": "clouds serve it under addresses of their own",
        "providers/embeddings.py": "embeddings are part of the same API",
        "providers/openai/request.py": "Google's OpenAI endpoint accepts what Gemini signed",
    },
}


@pytest.mark.parametrize("wire", wires())
def test_a_wire_is_one_folder(wire: str) -> None:
    """No file outside the folder names it but these. A decision about a wire belongs in its folder, or in the presets."""
    assert naming(wire) == TABLE.keys() | ALSO.get(wire, {}).keys()


def test_files_that_name_providers_are_no_back_door() -> None:
    """`responses` is no provider's name, so that files about providers cannot hide that they name this wire."""
    assert not PROVIDERS_NAMED & having("responses")


def test_the_table_of_figures(provider: Provider) -> None:
    """`python -m benchmarks.wires` measures each wire."""
    rows = [line.strip("| ").split(" | ") for line in table(provider, 1, 1).splitlines()]
    assert rows[0] == ["what", *wires()]
    figures = {row[0]: row[1:] for row in rows[2:]}
    assert figures["files outside that name it"] == [str(len(naming(wire))) for wire in wires()]
    assert figures["lines of code"] == [str(lines(wire)) for wire in wires()]
    measured = dict(zip(wires(), figures["a whole answer"], strict=True))
    assert all(float(measured[wire].removesuffix(" µs")) > 0 for wire in MODELS)
