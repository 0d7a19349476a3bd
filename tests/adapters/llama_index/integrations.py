"""LlamaIndex's own LLMs at the embedded provider, for the tests of them as targets."""

import importlib.util
from collections.abc import Callable
from typing import Any

from hotspare import Pool
from hotspare.drill.provider import KEY, Provider
from llama_index.core.base.llms.types import (
    ChatMessage,
)
from llama_index.core.llms.llm import LLM
from llama_index.llms.hotspare import Hotspare, target_of
from llama_index.llms.openai import OpenAI

ALL = ("openai", "anthropic", "google_genai", "litellm")
KINDS = tuple(kind for kind in ALL if importlib.util.find_spec(f"llama_index.llms.{kind}"))
QUESTION = "What is a hot spare?"
MESSAGES = [ChatMessage(role="user", content=QUESTION)]
Outage = Callable[..., None]
KEPT: list[Hotspare] = []


def make_llm(provider: Provider, kind: str, endpoint: str, **fields: Any) -> LLM:
    """LlamaIndex's LLM of this kind at an endpoint."""
    if kind == "openai":
        return OpenAI(**{"model": "gpt-4.1", "api_base": provider.base_url(endpoint), "api_key": KEY, **fields})
    module = importlib.import_module(f"llama_index.llms.{kind}")
    if kind == "anthropic":
        url = provider.base_url(endpoint, "anthropic")
        made = module.Anthropic(**{"model": "claude-sonnet-4-20250514", "base_url": url, "api_key": KEY, **fields})
    elif kind == "google_genai":
        bounds = {"max_tokens": 1000, "context_window": 100_000}
        http = {"base_url": provider.base_url(endpoint, "gemini")}
        made = module.GoogleGenAI(
            **{"model": "gemini-2.5-flash", "api_key": KEY, "http_options": http, **bounds, **fields}
        )
    else:
        url = provider.base_url(endpoint)
        made = module.LiteLLM(**{"model": "openai/gpt-4.1", "api_base": url, "api_key": KEY, **fields})
    assert isinstance(made, LLM)
    return made


def over(*llms: LLM) -> Hotspare:
    """A Hotspare over these LLMs, kept alive: a client closes itself when it is collected, in whichever loop runs
    then."""
    targets = [target_of(llm, name=name, region=name) for llm, name in zip(llms, "ab", strict=False)]
    KEPT.append(Hotspare(pool=Pool(targets, deadline=20, when_all_down="fail")))
    return KEPT[-1]
