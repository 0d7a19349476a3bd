"""Native LLMs -> targets of a pool: copies without retries of their own, named after their models."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import urlsplit

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM
from llama_index.llms.hotspare.native.backend import NativeBackend
from llama_index.llms.hotspare.native.families import LITELLM, OPENAI, Family, family_of, package_of

from hotspare import ConfigError, SecretStr, Target
from hotspare.errors import Problem

_PRESETS = {
    "google_genai": "gemini",
    "azure_openai": "azure",
    "mistralai": "mistral",
    "openai_like": "openai-compatible",
}
"""Packages of providers that hotspare has another name for: one provider is one failure domain, whoever calls it."""


def targets_of(llms: Sequence[LLM | Target]) -> list[Target]:
    """One target a native LLM, in order; two of one name are told apart by a number. Targets stay what they are.

    Raises ConfigError.
    """
    targets: list[Target] = []
    seen: Counter[str] = Counter()
    for index, llm in enumerate(llms):
        if isinstance(llm, Target):
            targets.append(llm)
            continue
        target_id = _id(llm, f"llms[{index}]")
        seen[target_id] += 1
        name = target_id if seen[target_id] == 1 else f"{target_id}#{seen[target_id]}"
        targets.append(target_of(llm, name))
    if not targets:
        raise ConfigError(Problem.at("llms", list(llms), "must hold at least one LLM, e.g. [OpenAI(…), Anthropic(…)]"))
    return targets


def target_of(llm: LLM, name: str = "", **fields: Any) -> Target:
    """A native LLM as a target, for a pool of your own: ``Pool([target_of(OpenAI(…), "us", tier=1), Target("gemini/…")])``.

    The LLM itself is not changed. `fields` are Target's own and win over what the LLM tells: its context window, what it
    lacks, the host it talks to (its region) and its key (its account).

    Raises ConfigError for what is no LlamaIndex LLM, or one whose `metadata` raises (an unknown model name).
    """
    target_id = fields.pop("id", None) or _id(llm, "llm")
    metadata = _metadata(llm, "llm")
    _warn(llm)
    lacks: set[str] = set() if metadata.is_function_calling_model and isinstance(llm, FunctionCallingLLM) else {"tools"}
    told: dict[str, Any] = {
        "name": name,
        "context_window": metadata.context_window,
        "lacks": lacks,
        "region": _host(llm),
        "api_key": _key(llm),
        "backend": NativeBackend(_quiet(llm, family_of(llm)), metadata, max_tokens=getattr(llm, "max_tokens", None)),
    }
    return Target(target_id, **{**told, **fields})


def native_metadata(target: Target) -> LLMMetadata | None:
    """The metadata of the native LLM behind a target; None for any other target."""
    return target.backend.metadata if isinstance(target.backend, NativeBackend) else None


def _id(llm: LLM, place: str) -> str:
    model = _metadata(llm, place).model_name
    package = package_of(type(llm)) or str(llm.class_name())
    return f"{_PRESETS.get(package, package)}/{model or 'unknown'}"


def _metadata(llm: Any, place: str) -> LLMMetadata:
    if not isinstance(llm, LLM):
        raise ConfigError(
            Problem.at(place, type(llm).__name__, "must be a LlamaIndex LLM, e.g. OpenAI(model='gpt-4.1')")
        )
    try:
        return llm.metadata
    except Exception as error:  # OpenAI's and Anthropic's raise ValueError for names they do not know
        way_out = f"has no metadata, without which no call of it works: {error}"
        raise ConfigError(Problem.at(place, type(llm).__name__, way_out)) from error


def _quiet(llm: LLM, family: Family) -> LLM:
    """A copy that makes one request a call: the SDK's retries and LlamaIndex's own are off."""
    changes: dict[str, Any] = {}
    fields = type(llm).model_fields
    if "max_retries" in fields:
        changes["max_retries"] = family.retries
    if family is LITELLM:
        changes["additional_kwargs"] = {
            **cast("dict[str, Any]", getattr(llm, "additional_kwargs", {})),
            "num_retries": 0,
        }
    if family is OPENAI:  # it would overrule the request's own; the backend sends it instead
        changes["max_tokens"] = None
    copy = llm.model_copy(update=changes)
    for name in ("_client", "_aclient"):
        client = getattr(copy, name, None)
        if client is not None and hasattr(client, "with_options"):
            setattr(copy, name, client.with_options(max_retries=0))
    return copy


def _warn(llm: LLM) -> None:
    for name in ("system_prompt", "output_parser"):
        if getattr(llm, name, None) is not None:
            warnings.warn(
                f"{type(llm).__name__}.{name} does nothing behind Hotspare: give it to Hotspare itself", stacklevel=4
            )


def _host(llm: LLM) -> str | None:
    url = _told(llm, "api_base", "base_url", "azure_endpoint")
    return urlsplit(url).netloc.rpartition("@")[2] or None if url else None


def _key(llm: LLM) -> SecretStr | None:
    key = _told(llm, "api_key")
    return SecretStr(key) if key else None


def _told(llm: LLM, *names: str) -> str | None:
    """The first of these that the LLM has, in a field of its own or, as LiteLLM keeps them, among its kwargs."""
    more: dict[str, Any] = getattr(llm, "additional_kwargs", None) or {}
    found = (getattr(llm, name, None) or more.get(name) for name in names)
    return next((value for value in found if isinstance(value, str) and value), None)
