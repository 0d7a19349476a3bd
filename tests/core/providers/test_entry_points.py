"""Backends that other distributions bring, found by their entry points."""

from importlib.metadata import EntryPoint
from typing import Any

import pytest
from hotspare import ConfigError, Pool, Target
from hotspare.providers import entry_points as plugins
from hotspare.testing import ScriptedTarget


def bring(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """As if these providers' backends were all that is installed."""

    def found(*, group: str, name: str) -> list[EntryPoint]:
        assert group == "hotspare.backends"
        return [EntryPoint(name, f"{__name__}:scripted", group)] if name in names else []

    monkeypatch.setattr(plugins, "entry_points", found)
    monkeypatch.setattr(EntryPoint, "load", lambda self: scripted)


def scripted(target: Target) -> Any:
    """A backend that answers with the model that it was made for."""
    return ScriptedTarget("x", [target.model])


def test_a_brought_backend_makes_the_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, no address, no preset: the distribution has them."""
    bring(monkeypatch, "elsewhere")
    with Pool([Target("elsewhere/some/model")]) as pool:
        assert pool.chat("q").text == "some/model"


def test_what_is_missing_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error for a known name without its distribution has the command that installs it."""
    bring(monkeypatch)
    with pytest.raises(ConfigError, match=r"targets\[0\]\.id: 'litellm/bedrock/m' .*pip install 'litellm-hotspare'"):
        Pool([Target("litellm/bedrock/m")])
    with pytest.raises(ConfigError, match="unknown provider"):
        Pool([Target("nowhere/m")])
    with pytest.raises(KeyError):
        plugins.backend_factory("nowhere")
