"""Providers by name: base URL, the environment variables that may hold the key, and the wire format."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import cast
from urllib.parse import urlsplit

from hotspare._config.hints import provider_hint
from hotspare.errors import ConfigError, Problem, StatusError
from hotspare.providers.base import SecondApi, Wire
from hotspare.providers.entry_points import DISTRIBUTIONS
from hotspare.providers.environment import address, check_headers, headers_in, variable
from hotspare.providers.openai.flavors import FLAVORS
from hotspare.secret import (
    BearerStr,
    HiddenStr,
    NoKey,
    Secret,
    checked_key,
    is_key_function,
    reveal,
    secrets_in,
    secrets_of_url,
    source_name,
)
from hotspare.target import ReasoningReplay, Target

UNRESOLVED = object()
"""Stands for a key that has not been read from its object or function yet."""
_CLOUDS = frozenset({"bedrock", "vertex"})
_BEARER = frozenset({"ANTHROPIC_AUTH_TOKEN", "AZURE_OPENAI_AD_TOKEN"})
"""Variables whose key is sent as a bearer token."""
_NEED_BACKEND = frozenset({"litellm", "langchain", "llama_index"})


@dataclass(frozen=True, slots=True)
class Preset:
    """The settings of a provider.

    `base_url`: None means that each target has to set its own. `key_env`: environment variables that may hold the key, in
    the order in which they are read. `needs_key`: whether a call without a key is impossible. `url_env`: variables that may hold
    the base URL, as in the provider's own SDK. `header_env`: pairs of a variable and the header in which it is sent; `headers_env`:
    the variable that holds whole headers. Both are used only with a key from the environment.
    """

    name: str
    base_url: str | None
    key_env: tuple[str, ...] = ()
    needs_key: bool = True
    url_env: tuple[str, ...] = ()
    header_env: tuple[tuple[str, str], ...] = ()
    headers_env: str = ""

    def wire(self, target: Target | None = None) -> Wire:
        """The wire format of the target's API, imported at first use. It is stateless, so that all targets share one object.

        Raises ConfigError for an `api` that the provider does not have.
        """
        if self.name in _CLOUDS:
            from hotspare.providers.cloud import cloud_wire

            found = cloud_wire(target, self.name)
            if found is not None:
                return self._without_api(target, found)
        if self.name not in FLAVORS:
            return self._without_api(target, _wire(self.name))
        replay = None if target is None else target.replay_reasoning
        if target is not None and target.api == "responses":
            if replay is not None:
                raise _not_settable(target, "replay_reasoning", "the Responses API has reasoning items of its own")
            return self.second_wire()
        return _wire(self.name, replay)

    def _without_api(self, target: Target | None, wire: Wire) -> Wire:
        """The wire format of the provider's only API. Raises ConfigError for a target that wants another."""
        for name in ("api", "replay_reasoning"):
            if target is not None and getattr(target, name) is not None:
                raise _not_settable(target, name, f"{self.name} has an API of its own for {target.model}")
        return wire

    def second_api(self, target: Target) -> SecondApi | None:
        """The second API that some requests need; None if there is none, or if the target's `api` names the one to use."""
        if target.api is not None or self.name not in FLAVORS or self.wire(target).dialect != "openai":
            return None
        from hotspare.providers.responses.choice import ResponsesBesideChat

        is_known = self.name == "bedrock" or (self.name == "openai" and self.is_own_host(target))
        return ResponsesBesideChat(target.model, is_known=is_known)

    def second_wire(self) -> Wire:
        """The wire format of the second API (Responses) in this provider's flavor, imported at first use."""
        from hotspare.providers.responses.wire import ResponsesWire

        return ResponsesWire(FLAVORS[self.name])

    @property
    def has_embeddings(self) -> bool:
        """Whether the provider has an embeddings API that hotspare supports."""
        return self.name == "gemini" or (self.name in FLAVORS and self.name not in _CLOUDS)

    def embeddings_wire(self) -> Wire:
        """The wire format of embeddings: OpenAI's or Gemini's."""
        from hotspare.providers.embeddings import GeminiEmbeddings, OpenAIEmbeddings

        return (GeminiEmbeddings if self.name == "gemini" else OpenAIEmbeddings)(_wire(self.name))

    def is_own_host(self, target: Target) -> bool:
        """Whether the target is the provider's own service, not a proxy or another server."""
        own = urlsplit(self.base_url or "").hostname or ""
        return (urlsplit(self.base_url_of(target)).hostname or "").endswith(own)

    def base_url_of(self, target: Target, env: Mapping[str, str] | None = None) -> str:
        """The target's base URL, else that of the environment, else the preset's. Raises ConfigError if there is none."""
        url = target.base_url or address(self.name, self.url_env, env) or self.base_url
        if url is None and self.name in _CLOUDS:
            from hotspare.providers.cloud import cloud_url

            return cloud_url(target, self.name, env)
        if url is None:
            example = "https://<resource>.openai.azure.com" if self.name == "azure" else "http://localhost:8080/v1"
            hint = f"is required for provider {self.name!r}, e.g. base_url={example!r}"
            raise ConfigError(Problem.at(f"target {target.name!r}: base_url", None, hint))
        return url

    def other_base_url(self, base_url: str, error: StatusError) -> str | None:
        """Another base URL, if this rejection shows that `base_url` does not serve the model; else None."""
        if self.name != "bedrock":
            return None
        from hotspare.providers.cloud import other_route

        return other_route(base_url, error)

    def headers_of(self, target: Target, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Headers from the environment, for a target whose key is from the environment too.

        Raises ConfigError for a variable with an invalid header.
        """
        if target.api_key is not None or not self._has_headers_for(target):
            return {}
        named = {header: variable(name, env).strip() for name, header in self.header_env}
        free = headers_in(self.headers_env, env)
        check_headers(self.headers_env, free)
        return {header: value for header, value in named.items() if value} | free

    def _has_headers_for(self, target: Target) -> bool:
        """Whether the SDK for this target reads these variables: in a cloud only Anthropic's does."""
        if self.name not in _CLOUDS:
            return True
        from hotspare.providers.cloud import is_claude

        return is_claude(target.model)

    def key_of(
        self, target: Target, env: Mapping[str, str] | None = None, *, resolved: object = UNRESOLVED
    ) -> HiddenStr | None:
        """The key: the target's own, else that of the environment (`env`); None if there is none and none is needed.

        `resolved`: the result of the target's function, or the object that holds its key. Default: the target's `api_key` is read; a
        function is not called, and its key is None.
        Raises ConfigError, which names the function or the variables but no value, if a needed key is missing or invalid.
        """
        given, held = target.api_key, resolved
        is_function, source = is_key_function(given), source_name(given)
        if resolved is UNRESOLVED:
            if is_function:
                return None
            held = reveal(cast("Secret | str | None", given), f"target {target.name!r}: api_key")
        try:
            key = checked_key(held, needed=is_function and self.needs_key)
            for name in () if key or is_function else self.key_env:
                source = f"the environment variable {name}"
                if key := checked_key(variable(name, env)):
                    key = BearerStr(key) if name in _BEARER else key
                    break
        except NoKey as error:
            raise ConfigError(Problem(f"target {target.name!r}: {source} {error}")) from None
        if key:
            return key
        if not self.needs_key:
            return None
        names = " or ".join(self.key_env)
        hint = 'or give another variable: api_key=os.environ["…"] in code, api_key = "${…}" in a file'
        raise ConfigError(Problem(f"target {target.name!r}: no key: set the environment variable {names}, {hint}"))


def _not_settable(target: Target, name: str, reason: str) -> ConfigError:
    return ConfigError(Problem.at(f"target {target.name!r}: {name}", getattr(target, name), f"cannot be set: {reason}"))


def wire_named(name: str) -> Wire:
    """The wire format of a dialect, or that of a provider."""
    return PRESETS["openai"].second_wire() if name == "responses" else _wire(name)


@cache
def _wire(name: str, replay: ReasoningReplay | None = None) -> Wire:
    if name == "anthropic":
        from hotspare.providers.anthropic.wire import AnthropicWire

        return AnthropicWire()
    if name == "gemini":
        from hotspare.providers.gemini.wire import GeminiWire

        return GeminiWire()
    from hotspare.providers.openai.wire import OpenAIWire

    return OpenAIWire(FLAVORS[name] if replay is None else FLAVORS[name].replaying(replay))


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset(
                "openai",
                "https://api.openai.com/v1",
                ("OPENAI_API_KEY",),
                url_env=("OPENAI_BASE_URL",),
                header_env=(("OPENAI_ORG_ID", "openai-organization"), ("OPENAI_PROJECT_ID", "openai-project")),
                headers_env="OPENAI_CUSTOM_HEADERS",
            ),
            Preset(
                "azure",
                None,
                ("AZURE_OPENAI_API_KEY", "AZURE_API_KEY", "AZURE_OPENAI_AD_TOKEN"),
                url_env=("AZURE_OPENAI_ENDPOINT",),
                headers_env="OPENAI_CUSTOM_HEADERS",
            ),
            Preset(
                "anthropic",
                "https://api.anthropic.com",
                ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
                url_env=("ANTHROPIC_BASE_URL",),
                headers_env="ANTHROPIC_CUSTOM_HEADERS",
            ),
            Preset(
                "gemini",
                "https://generativelanguage.googleapis.com/v1beta",
                ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
                url_env=("GOOGLE_GEMINI_BASE_URL",),
            ),
            Preset(
                "bedrock",
                None,
                ("AWS_BEARER_TOKEN_BEDROCK", "ANTHROPIC_AWS_API_KEY"),
                headers_env="ANTHROPIC_CUSTOM_HEADERS",
            ),
            Preset("vertex", None, ("GOOGLE_API_KEY",)),
            Preset("deepseek", "https://api.deepseek.com", ("DEEPSEEK_API_KEY",)),
            Preset("holysheep", "https://api.holysheep.ai/v1", ("HOLYSHEEP_API_KEY",)),
            Preset("openrouter", "https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",)),
            Preset(
                "groq",
                "https://api.groq.com/openai/v1",
                ("GROQ_API_KEY",),
                url_env=("GROQ_BASE_URL",),
                headers_env="GROQ_CUSTOM_HEADERS",
            ),
            Preset("mistral", "https://api.mistral.ai/v1", ("MISTRAL_API_KEY",)),
            Preset("xai", "https://api.x.ai/v1", ("XAI_API_KEY",)),
            Preset(
                "together",
                "https://api.together.xyz/v1",
                ("TOGETHER_API_KEY",),
                url_env=("TOGETHER_BASE_URL",),
                headers_env="TOGETHER_CUSTOM_HEADERS",
            ),
            Preset(
                "fireworks",
                "https://api.fireworks.ai/inference/v1",
                ("FIREWORKS_API_KEY",),
                url_env=("FIREWORKS_BASE_URL",),
                headers_env="FIREWORKS_CUSTOM_HEADERS",
            ),
            Preset(
                "ollama", "http://localhost:11434/v1", ("OLLAMA_API_KEY",), needs_key=False, url_env=("OLLAMA_HOST",)
            ),
            Preset("vllm", "http://localhost:8000/v1", ("VLLM_API_KEY",), needs_key=False),
            Preset("openai-compatible", None, needs_key=False),
        )
    }
)
"""Every provider with a built-in wire format, by name."""


def preset_of(target: Target) -> Preset:
    """The preset of a target's provider. Raises ConfigError, with the nearest and all known names, if it is unknown."""
    preset = PRESETS.get(target.provider)
    if preset is not None:
        return preset
    if target.provider in _NEED_BACKEND:
        distribution = DISTRIBUTIONS.get(target.provider)
        hint = f"needs a backend: set `backend` of the target, or use one of {', '.join(PRESETS)}"
        if distribution is not None:
            hint = f"needs another distribution: pip install '{distribution}'"
        raise ConfigError(Problem.at("target.id", target.id, hint))
    nearest = provider_hint(target.provider, target.model, tuple(PRESETS))
    nearest += " " if nearest.endswith("?") else ". " if nearest else ""
    hint = (
        f"has an unknown provider; {nearest}known: {', '.join(PRESETS)}. "
        "For another API in OpenAI's format write 'openai-compatible/…' and set base_url"
    )
    raise ConfigError(Problem.at("target.id", target.id, hint))


def known_secrets(targets: Iterable[Target], env: Mapping[str, str] | None = None) -> set[str]:
    """The secrets of these targets, which must not be shown: their keys, those in the providers' key variables, and secrets in
    headers, `extra` and base URLs. The name of a provider ("ollama") is a common placeholder, not a secret."""
    found: set[str] = {reveal(variable(name, env)) for preset in PRESETS.values() for name in preset.key_env}
    for name in {preset.headers_env for preset in PRESETS.values()}:
        found.update(secrets_in(headers_in(name, env)))
    for target in targets:
        if not is_key_function(target.api_key):
            found.add(reveal(cast("Secret | str | None", target.api_key), f"target {target.name!r}: api_key"))
        found.update(secrets_in(target.headers), secrets_in(target.extra), secrets_of_url(target.base_url or ""))
    return found.difference(PRESETS, {""})
