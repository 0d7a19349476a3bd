"""The operating pages, English and Korean, name every default rule, and their configurations are sound."""

import re
import tomllib
from pathlib import Path

import pytest
from hotspare._config.loader import load
from hotspare.monitor import DEFAULT_RULES

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("monitoring.md", "ko/monitoring.md")
ENV = {"ALERT_WEBHOOK": "https://example.com/x", "SMTP_PASSWORD": "p-1234567", "APPRISE_URL": "json://localhost"}


@pytest.mark.parametrize("page", PAGES)
def test_every_rule_is_explained(page: str) -> None:
    """A row for each, with its severity."""
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (\w+) \|", (DOCS / page).read_text(encoding="utf-8"), re.M))
    assert rows == {rule.name: rule.severity for rule in DEFAULT_RULES}


@pytest.mark.parametrize("page", PAGES)
def test_the_configurations_can_be_read(page: str) -> None:
    """Each block of a page, beside one target."""
    blocks = re.findall(r"```toml\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.S)
    assert blocks
    for block in blocks:
        config = {"targets": [{"id": "openai/m", "api_key": "k-1234567"}], **tomllib.loads(block)}
        assert load(config, ENV).monitor is not None
