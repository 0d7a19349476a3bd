"""Presets: every one works, and every mistake is reported with a hint."""

import subprocess
import sys

import pytest
from hotspare.errors import ConfigError
from hotspare.messages import ChatRequest
from hotspare.providers.presets import PRESETS, preset_of
from hotspare.secret import SecretStr
from hotspare.target import Target


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_works(name: str) -> None:
    """Each preset's wire format writes a request and its URL."""
    preset = PRESETS[name]
    target = Target(f"{name}/m", base_url=None if preset.base_url else "https://relay.example/v1")
    wire = preset_of(target).wire(target)
    assert type(wire) is type(preset.wire())
    assert wire.url(preset.base_url_of(target), target, stream=True).startswith(("https://", "http://localhost"))
    assert wire.write(ChatRequest(messages=[{"role": "user", "content": "hi"}]), target, stream=True)
    assert wire.dialect == {"anthropic": "anthropic", "gemini": "gemini", "vertex": "gemini"}.get(name, "openai")


def test_the_presets_of_the_documentation() -> None:
    """All providers of the documentation, in its order."""
    documented = """openai azure anthropic gemini bedrock vertex deepseek holysheep openrouter groq mistral xai together fireworks ollama
    vllm openai-compatible"""
    assert list(PRESETS) == documented.split()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("opnai/gpt-4.1", ["'opnai/gpt-4.1'", "did you mean 'openai'", "deepseek", "openai-compatible"]),
        ("unknown/m", ["'unknown/m'", "known: openai, azure"]),
        ("litellm/gpt-4.1", ["'litellm/gpt-4.1'", "pip install 'litellm-hotspare'"]),
        ("sagemaker/m", ["'sagemaker/m'", "`backend`"]),
    ],
)
def test_an_unknown_provider(target: str, expected: list[str]) -> None:
    """The error has the value, the nearest provider and the known ones."""
    with pytest.raises(ConfigError) as caught:
        preset_of(Target(target))
    assert all(text in str(caught.value) for text in expected)


def test_keys() -> None:
    """The target's own key, then the environment's, in order; surrounding white space is removed."""
    preset = PRESETS["gemini"]
    env = {"GEMINI_API_KEY": " second\n", "GOOGLE_API_KEY": " "}
    assert preset.key_of(Target("gemini/m", api_key=SecretStr("own")), env) == "own"
    assert preset.key_of(Target("gemini/m"), env) == "second"
    assert preset.key_of(Target("gemini/m"), {**env, "GOOGLE_API_KEY": "first"}) == "first"
    assert PRESETS["ollama"].key_of(Target("ollama/m"), {}) is None
    assert PRESETS["openai-compatible"].key_of(Target("openai-compatible/m"), {}) is None


def test_a_missing_key_and_a_missing_base_url() -> None:
    """The error has the variables to set, and an example of a URL."""
    with pytest.raises(ConfigError, match=r"'eu'.*AZURE_OPENAI_API_KEY or AZURE_API_KEY"):
        PRESETS["azure"].key_of(Target("azure/m", name="eu"), {})
    with pytest.raises(ConfigError, match=r"'eu'.*base_url.*openai\.azure\.com"):
        PRESETS["azure"].base_url_of(Target("azure/m", name="eu"))
    with pytest.raises(ConfigError, match="base_url"):
        PRESETS["openai-compatible"].base_url_of(Target("openai-compatible/m"))


def test_wires_are_imported_at_first_use() -> None:
    """The presets alone import neither Anthropic's nor Gemini's wire."""
    code = (
        "import sys, hotspare.providers.presets\nprint([m for m in sys.modules if m.startswith('hotspare.providers')])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "presets" in loaded
    assert "anthropic" not in loaded
    assert "gemini" not in loaded
