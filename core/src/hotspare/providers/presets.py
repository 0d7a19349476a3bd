"""Providers by name: where they are, which variable holds the key, which wire and which error dialect they speak."""

import difflib
import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from hotspare.errors import ConfigError, Problem
from hotspare.providers.base import Wire
from hotspare.providers.entry_points import BROUGHT_BY
from hotspare.providers.openai.flavors import FLAVORS
from hotspare.target import Target

_NATIVE = {"anthropic": "AnthropicWire", "gemini": "GeminiWire"}
_BY_BACKEND = frozenset({"litellm", "langchain", "llama_index", "bedrock"})


@dataclass(frozen=True, slots=True)
class Preset:
    """What hotspare knows of a provider.

    `base_url` None means that a target has to name its own. `key_env`: environment variables that may hold the key,
    in the order in which they are read. `needs_key`: without one there is no call. `dialect`: whose error bodies
    `classify` is to expect.
    """

    name: str
    base_url: str | None
    key_env: tuple[str, ...] = ()
    needs_key: bool = True

    @property
    def dialect(self) -> str:
        """Whose error bodies to expect."""
        return self.name

    def wire(self) -> Wire:
        """The wire format, loaded when it is first asked for; one object a preset, for it holds no state."""
        return _wire(self.name)

    def base_url_of(self, target: Target) -> str:
        """The target's own base URL or the preset's. Raises ConfigError where there is neither."""
        url = target.base_url or self.base_url
        if url is None:
            example = "https://<resource>.openai.azure.com" if self.name == "azure" else "http://localhost:8080/v1"
            way_out = f"must be given for provider {self.name!r}, e.g. base_url={example!r}"
            raise ConfigError(Problem.at(f"target {target.name!r}: base_url", None, way_out))
        return url

    def key_of(self, target: Target, env: Mapping[str, str] = os.environ) -> str | None:
        """The target's key: its own, else the environment's; None where none is needed.

        Raises ConfigError naming the variables when there is no key.
        """
        own = target.api_key
        key = own if isinstance(own, str) else own.get_secret_value() if own is not None else ""
        key = key.strip() or next((env[name].strip() for name in self.key_env if env.get(name, "").strip()), "")
        if not (key.isascii() and key.isprintable()):
            way_out = "the key must be printable ASCII: did a line break or a typographic sign slip in?"
            raise ConfigError(Problem(f"target {target.name!r}: {way_out}"))
        if key:
            return key
        if not self.needs_key:
            return None
        names = " or ".join(self.key_env)
        way_out = f"no key: set the environment variable {names}, or pass api_key=SecretStr(…)"
        raise ConfigError(Problem(f"target {target.name!r}: {way_out}"))


@cache
def _wire(name: str) -> Wire:
    if name in _NATIVE:
        module = importlib.import_module(f"hotspare.providers.{name}.wire")
        wire: Wire = getattr(module, _NATIVE[name])()
        return wire
    from hotspare.providers.openai.wire import OpenAIWire

    return OpenAIWire(FLAVORS[name])


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset("openai", "https://api.openai.com/v1", ("OPENAI_API_KEY",)),
            Preset("azure", None, ("AZURE_OPENAI_API_KEY", "AZURE_API_KEY")),
            Preset("anthropic", "https://api.anthropic.com", ("ANTHROPIC_API_KEY",)),
            Preset("gemini", "https://generativelanguage.googleapis.com/v1beta", ("GEMINI_API_KEY", "GOOGLE_API_KEY")),
            Preset("deepseek", "https://api.deepseek.com", ("DEEPSEEK_API_KEY",)),
            Preset("holysheep", "https://api.holysheep.ai/v1", ("HOLYSHEEP_API_KEY",)),
            Preset("openrouter", "https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",)),
            Preset("groq", "https://api.groq.com/openai/v1", ("GROQ_API_KEY",)),
            Preset("mistral", "https://api.mistral.ai/v1", ("MISTRAL_API_KEY",)),
            Preset("xai", "https://api.x.ai/v1", ("XAI_API_KEY",)),
            Preset("together", "https://api.together.xyz/v1", ("TOGETHER_API_KEY",)),
            Preset("fireworks", "https://api.fireworks.ai/inference/v1", ("FIREWORKS_API_KEY",)),
            Preset("ollama", "http://localhost:11434/v1", ("OLLAMA_API_KEY",), needs_key=False),
            Preset("vllm", "http://localhost:8000/v1", ("VLLM_API_KEY",), needs_key=False),
            Preset("openai-compatible", None, needs_key=False),
        )
    }
)
"""Every provider that hotspare speaks to by itself, by name."""


def preset_of(target: Target) -> Preset:
    """The preset of a target's provider. Raises ConfigError with the known names and the nearest one."""
    preset = PRESETS.get(target.provider)
    if preset is not None:
        return preset
    if target.provider in _BY_BACKEND:
        brought = BROUGHT_BY.get(target.provider)
        way_out = f"has no wire of its own: give the target a `backend`, or use one of {', '.join(PRESETS)}"
        if brought is not None:
            way_out = f"is called through another distribution: pip install '{brought}'"
        raise ConfigError(Problem.at("target.id", target.id, way_out))
    near = difflib.get_close_matches(target.provider.lower(), PRESETS, 1, 0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    way_out = (
        f"names an unknown provider{hint}; known: {', '.join(PRESETS)}. "
        "Any other that speaks OpenAI's format is 'openai-compatible/…' with a base_url"
    )
    raise ConfigError(Problem.at("target.id", target.id, way_out))
