"""The differences of LlamaIndex's integrations: the arguments that they accept, and how they report a complete answer.

Measured with llms-openai 0.8, llms-anthropic 0.12, llms-google-genai 0.11 and llms-litellm 0.8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from llama_index.core.llms.llm import LLM

from hotspare import Dialect

_TEXT_AND_IMAGES = frozenset({"text", "image_url"})
_ALL_PARTS = frozenset({*_TEXT_AND_IMAGES, "file", "input_audio"})


def _arguments(*same: str, **renamed: str) -> Mapping[str, str]:
    return MappingProxyType({**{name: name for name in same}, **renamed})


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """One LLM class with all its subclasses.

    Args:
        name: its package under `llama_index.llms`.
        dialect: the rules by which a history is made portable.
        ids: which tool-call ids its provider accepts. `any`: ids that nearly all providers accept.
        arguments: a request's field to the keyword argument of `chat`. Fields that are missing here cannot be sent.
        nested_in: the argument that holds those arguments, if they are not passed to `chat` directly.
        parts: types of content parts that it accepts; None: not known.
        tool_by_name: whether a tool can be required by name, and tool calls can be forbidden.
        reports_finish_reason: whether its streams show the provider's own finish reason.
        calls_in_kwargs: whether tool calls are in `additional_kwargs` instead of blocks.
        takes_timeout: whether `chat` passes a `timeout` on to its SDK.
        needs_usage_option: whether streams report usage only with `stream_options`.
        max_retries_for_one_request: the value of `max_retries` for a single request without retries.
    """

    name: str
    dialect: Dialect = "openai"
    ids: Literal["openai", "anthropic", "gemini", "any"] = "any"
    arguments: Mapping[str, str] = field(default_factory=lambda: _arguments("temperature"))
    nested_in: str | None = None
    parts: frozenset[str] | None = None
    tool_by_name: bool = False
    reports_finish_reason: bool = False
    calls_in_kwargs: bool = False
    takes_timeout: bool = False
    needs_usage_option: bool = False
    max_retries_for_one_request: int = 0


OPENAI = ModelFamily(
    "openai",
    ids="openai",
    arguments=_arguments(
        "temperature", "top_p", "max_tokens", "stop", "seed", "frequency_penalty", "presence_penalty",
        "reasoning_effort", "user", "response_format",
    ),
    parts=_ALL_PARTS,
    tool_by_name=True,
    reports_finish_reason=True,
    takes_timeout=True,
    needs_usage_option=True,
)  # fmt: skip
ANTHROPIC = ModelFamily(
    "anthropic",
    dialect="anthropic",
    ids="anthropic",
    arguments=_arguments("temperature", "top_p", "top_k", "max_tokens", stop="stop_sequences"),
    parts=frozenset({*_TEXT_AND_IMAGES, "file"}),
    tool_by_name=True,
    reports_finish_reason=True,
    takes_timeout=True,
)
GEMINI = ModelFamily(
    "google_genai",
    dialect="gemini",
    ids="gemini",
    arguments=_arguments(
        "temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty",
        max_tokens="max_output_tokens", stop="stop_sequences",
    ),
    nested_in="generation_config",
    parts=frozenset({*_TEXT_AND_IMAGES, "file"}),
    tool_by_name=True,
    reports_finish_reason=True,
)  # fmt: skip
LITELLM = replace(
    OPENAI,
    name="litellm",
    reports_finish_reason=False,  # it invents one if the provider sent none
    calls_in_kwargs=True,
    needs_usage_option=False,  # from litellm 1.110 on, usage comes in a chunk without choices, on which the class fails
    max_retries_for_one_request=1,
)
OTHER = ModelFamily("other", arguments=_arguments("temperature", "max_tokens"))
"""Any other LLM class: only the arguments that nearly all classes accept."""

_KNOWN = {
    ("openai", "OpenAI"): OPENAI,
    ("anthropic", "Anthropic"): ANTHROPIC,
    ("google_genai", "GoogleGenAI"): GEMINI,
    ("litellm", "LiteLLM"): LITELLM,
}


def family_of(llm: LLM) -> ModelFamily:
    """The family of an LLM, by its class or the nearest parent in the table (Azure's is OpenAI's)."""
    for parent in type(llm).__mro__:
        found = _KNOWN.get((package_of(parent), parent.__name__))
        if found is not None:
            return found
    return OTHER


def package_of(cls: type) -> str:
    """`openai` for a class in `llama_index.llms.openai…`, "" for a class outside of `llama_index.llms`."""
    head, _, rest = cls.__module__.partition("llama_index.llms.")
    return "" if head else rest.partition(".")[0]
