"""LlamaIndex LLMs as targets of a pool: copied, with all retries switched off, named after their models."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any, Unpack, cast
from urllib.parse import urlsplit

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM
from llama_index.llms.hotspare.backend import LlamaIndexBackend
from llama_index.llms.hotspare.model_families import LITELLM, OPENAI, ModelFamily, family_of, package_of

from hotspare import ConfigError, Problem, SecretStr, Target, TargetFields

_PRESETS = {
    "google_genai": "gemini",
    "azure_openai": "azure",
    "mistralai": "mistral",
    "openai_like": "openai-compatible",
}
"""LlamaIndex's provider names that differ from hotspare's. One provider must have one name, because it is one failure domain."""


def target_of(llm: LLM, name: str = "", *, id: str | None = None, **options: Unpack[TargetFields]) -> Target:
    """An LLM as a target, for a pool of your own: ``Pool([target_of(OpenAI(…), "us", tier=1), Target("gemini/…")])``.

    Args:
        llm: a LlamaIndex LLM. It is copied, not changed.
        name: the target's name in reports. Default: its `id`.
        id: `provider/model`. Default: the LLM's package and model name.
        options: further fields of `Target`. They take precedence over the LLM's own values: its context window, whether it
            supports tools, its host (the region) and its key (the account).

    Raises:
        ConfigError: `llm` is not a LlamaIndex LLM, or its `metadata` raises (an unknown model name).
    """
    target_id = id or _id_of(llm, "llm")
    metadata = _metadata(llm, "llm")
    _warn_of_unused_fields(llm)
    takes_tools = metadata.is_function_calling_model and isinstance(llm, FunctionCallingLLM)
    options.setdefault("context_window", metadata.context_window)
    options.setdefault("missing", frozenset() if takes_tools else frozenset({"tools"}))
    options.setdefault("region", _host_of(llm))
    options.setdefault("api_key", _key_of(llm))
    copy = _without_retries(llm, family_of(llm))
    backend = LlamaIndexBackend(copy, metadata, max_tokens=getattr(llm, "max_tokens", None))
    return Target(target_id, name=name, backend=backend, **options)


def targets_of(llms: Sequence[LLM | Target]) -> list[Target]:
    """Each LLM as a target, in order; equal names get a number. Targets are kept. Raises ConfigError."""
    targets: list[Target] = []
    seen: Counter[str] = Counter()
    for index, llm in enumerate(llms):
        if isinstance(llm, Target):
            targets.append(llm)
            continue
        target_id = _id_of(llm, f"llms[{index}]")
        seen[target_id] += 1
        name = target_id if seen[target_id] == 1 else f"{target_id}#{seen[target_id]}"
        targets.append(target_of(llm, name))
    if not targets:
        raise ConfigError(Problem.at("llms", list(llms), "must hold at least one LLM, e.g. [OpenAI(…), Anthropic(…)]"))
    return targets


def metadata_of(target: Target) -> LLMMetadata | None:
    """The metadata of the LlamaIndex LLM behind a target; None for any other target."""
    return target.backend.metadata if isinstance(target.backend, LlamaIndexBackend) else None


def _id_of(llm: LLM, place: str) -> str:
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
    except Exception as error:  # OpenAI's and Anthropic's raise ValueError for a model name that they do not know
        way_out = f"cannot be used, because its metadata raises: {error}"
        raise ConfigError(Problem.at(place, type(llm).__name__, way_out)) from error


def _without_retries(llm: LLM, family: ModelFamily) -> LLM:
    """A copy that sends one request per call: the SDK's retries and LlamaIndex's own are off."""
    changes: dict[str, Any] = {}
    if "max_retries" in type(llm).model_fields:
        changes["max_retries"] = family.max_retries_for_one_request
    if family is LITELLM:
        own = cast("dict[str, Any]", getattr(llm, "additional_kwargs", {}))
        changes["additional_kwargs"] = {**own, "num_retries": 0}
    if (
        family is OPENAI
    ):  # its own max_tokens would override the request's: the backend sends it where the request has none
        changes["max_tokens"] = None
    copy = llm.model_copy(update=changes)
    for name in ("_client", "_aclient"):
        client = getattr(copy, name, None)
        if client is not None and hasattr(client, "with_options"):
            setattr(copy, name, client.with_options(max_retries=0))
    return copy


def _warn_of_unused_fields(llm: LLM) -> None:
    for name in ("system_prompt", "output_parser"):
        if getattr(llm, name, None) is not None:
            warnings.warn(f"{type(llm).__name__}.{name} is not used behind Hotspare: set it on Hotspare", stacklevel=4)


def _host_of(llm: LLM) -> str | None:
    url = _setting(llm, "api_base", "base_url", "azure_endpoint")
    return urlsplit(url).netloc.rpartition("@")[2] or None if url else None


def _key_of(llm: LLM) -> SecretStr | None:
    key = _setting(llm, "api_key")
    return SecretStr(key) if key else None


def _setting(llm: LLM, *names: str) -> str | None:
    """The first of these that the LLM has, as a field or, as LiteLLM keeps them, in `additional_kwargs`."""
    more: dict[str, Any] = getattr(llm, "additional_kwargs", None) or {}
    found = (getattr(llm, name, None) or more.get(name) for name in names)
    return next((value for value in found if isinstance(value, str) and value), None)
