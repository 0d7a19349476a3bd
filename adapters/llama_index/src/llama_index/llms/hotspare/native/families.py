"""How LlamaIndex's own integrations differ: what each takes, and how it says that an answer is complete.

Measured against llms-openai 0.8, llms-anthropic 0.12, llms-google-genai 0.11 and llms-litellm 0.8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from llama_index.core.llms.llm import LLM

from hotspare.messages import Dialect

_TEXT_AND_IMAGES = frozenset({"text", "image_url"})
_ALL_PARTS = frozenset({*_TEXT_AND_IMAGES, "file", "input_audio"})
_OPENAI_FIELDS = (
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "reasoning_effort",
    "user",
    "response_format",
)


@dataclass(frozen=True, slots=True)
class Family:
    """What one kind of LLM class takes.

    `dialect` and `ids` choose the rules by which a history is made portable. `fields` maps ChatRequest's names to keyword
    arguments of `chat`; those not named cannot be carried. `nested` is the argument in which they stand, if not on top.
    `parts`: the content parts it takes. `named_tool`: whether a tool can be demanded by name, or none at all.
    `proves_end`: whether its streams show the provider's own finish reason. `calls_beside`: whether tool calls stand in
    `additional_kwargs` instead of blocks. `takes_timeout`: whether `chat` hands a `timeout` on to its SDK.
    `usage_option`: whether streams tell their usage only if asked to. `retries`: what `max_retries` means "one request" there.
    """

    name: str
    dialect: Dialect = "openai"
    ids: Dialect = "anthropic"  # the strictest common rule
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({"temperature": "temperature"}))
    nested: str | None = None
    parts: frozenset[str] = _TEXT_AND_IMAGES
    named_tool: bool = False
    proves_end: bool = False
    calls_beside: bool = False
    takes_timeout: bool = False
    usage_option: bool = False
    retries: int = 0


OPENAI = Family(
    "openai",
    ids="openai",
    fields=MappingProxyType({name: name for name in _OPENAI_FIELDS}),
    parts=_ALL_PARTS,
    named_tool=True,
    proves_end=True,
    takes_timeout=True,
    usage_option=True,
)
ANTHROPIC = Family(
    "anthropic",
    dialect="anthropic",
    fields=MappingProxyType(
        {
            "temperature": "temperature",
            "top_p": "top_p",
            "top_k": "top_k",
            "max_tokens": "max_tokens",
            "stop": "stop_sequences",
        }
    ),
    parts=frozenset({*_TEXT_AND_IMAGES, "file"}),
    named_tool=True,
    proves_end=True,
    takes_timeout=True,
)
GEMINI = Family(
    "google_genai",
    dialect="gemini",
    ids="gemini",
    fields=MappingProxyType(
        {
            "temperature": "temperature",
            "top_p": "top_p",
            "top_k": "top_k",
            "max_tokens": "max_output_tokens",
            "stop": "stop_sequences",
            "seed": "seed",
            "frequency_penalty": "frequency_penalty",
            "presence_penalty": "presence_penalty",
        }
    ),
    nested="generation_config",
    parts=frozenset({*_TEXT_AND_IMAGES, "file"}),
    named_tool=True,
    proves_end=True,
)
LITELLM = replace(
    OPENAI,
    name="litellm",
    proves_end=False,  # it invents a reason
    calls_beside=True,
    usage_option=False,  # from litellm 1.110 on usage comes in a chunk without choices, at which LlamaIndex's class fails
    retries=1,
)
OTHER = Family("other", fields=MappingProxyType({"temperature": "temperature", "max_tokens": "max_tokens"}))
"""Any other LLM class: only what nearly all take."""

_KNOWN = {
    ("openai", "OpenAI"): OPENAI,
    ("anthropic", "Anthropic"): ANTHROPIC,
    ("google_genai", "GoogleGenAI"): GEMINI,
    ("litellm", "LiteLLM"): LITELLM,
}


def family_of(llm: LLM) -> Family:
    """The family of an LLM, by its class or the nearest known parent (Azure's is OpenAI's)."""
    for parent in type(llm).__mro__:
        found = _KNOWN.get((package_of(parent), parent.__name__))
        if found is not None:
            return found
    return OTHER


def package_of(cls: type) -> str:
    """`openai` for a class in `llama_index.llms.openai…`, "" for one from elsewhere."""
    head, _, rest = cls.__module__.partition("llama_index.llms.")
    return "" if head else rest.partition(".")[0]
