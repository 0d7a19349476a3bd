"""How each provider's chat completions differ from OpenAI's own. Sources: the providers' API references, the recorded
exchanges of the conformance tests, and LiteLLM's transformations."""

import re
from dataclasses import dataclass, replace
from typing import Literal

OPENAI_PARTS = frozenset({"text", "refusal", "image_url", "input_audio", "file"})
_REASONS = re.compile(r"(?:^|/)(o\d|gpt-(?:[5-9]|\d\d))")
_CHAT = re.compile(r"gpt-5(?:\.\d)?-chat")


@dataclass(frozen=True, slots=True)
class Flavor:
    """One provider's dialect of chat completions.

    `refuses`: fields of a ChatRequest that it rejects or ignores. `parts`: the content parts it takes (None: any).
    `openai_models`: what a model takes follows OpenAI's model names. `effort`: how it is told to reason.
    `replays`: the field in which it wants the reasoning of earlier turns back. `signer`: the dialect of the signed
    reasoning that it reads. `usage_option`: a stream's usage must be asked for. `done_proves`: a stream that ended
    with `[DONE]` is whole even without a finish reason. `flat`: message content is text, not parts.
    """

    name: str = "openai-compatible"
    ids: str = "openai"
    unsupported: frozenset[str] = frozenset()
    parts: frozenset[str] | None = None
    openai_models: bool = False
    developer: bool = False
    keeps_refusal: bool = False
    allowed_tools: bool = False
    json_schema: bool = True
    forced_tools: bool = True
    effort: Literal["reasoning_effort", "reasoning", "thinking"] = "reasoning_effort"
    efforts: tuple[str, ...] = ("none", "minimal", "low", "medium", "high", "xhigh")
    reasoning_field: str | None = None
    signer: str | None = None
    usage_option: bool = True
    done_proves: bool = False
    text_only: bool = False
    seed: str = "seed"
    required: str = "required"
    message_fields: frozenset[str] = frozenset()


_OPENAI = Flavor(
    "openai",
    unsupported=frozenset({"top_k"}),
    parts=OPENAI_PARTS,
    openai_models=True,
    developer=True,
    keeps_refusal=True,
    allowed_tools=True,
)
_THREE = ("low", "medium", "high")

FLAVORS = {
    flavor.name: flavor
    for flavor in (
        _OPENAI,
        replace(_OPENAI, name="azure"),
        Flavor(
            "deepseek",
            unsupported=frozenset({"top_k", "seed", "user", "parallel_tool_calls"}),
            parts=frozenset({"text", "image_url", "refusal"}),
            json_schema=False,
            effort="thinking",
            reasoning_field="reasoning_content",
            text_only=True,
        ),
        Flavor("holysheep", unsupported=frozenset({"top_k"})),
        Flavor("openrouter", effort="reasoning", signer="openrouter", reasoning_field="reasoning"),
        Flavor("groq", unsupported=frozenset({"top_k", "frequency_penalty", "presence_penalty"})),
        Flavor(
            "mistral",
            ids="mistral",
            unsupported=frozenset({"top_k", "user"}),
            parts=frozenset({"text", "refusal", "image_url", "input_audio", "document_url", "file"}),
            efforts=("none", "high"),
            usage_option=False,
            seed="random_seed",
            required="any",
            message_fields=frozenset({"prefix"}),
        ),
        Flavor("xai", unsupported=frozenset({"top_k"}), efforts=("none", *_THREE)),
        Flavor("together"),
        Flavor("fireworks"),
        Flavor(
            "ollama",
            unsupported=frozenset({"top_k", "parallel_tool_calls", "user"}),
            forced_tools=False,
            reasoning_field="reasoning",
        ),
        Flavor("vllm", reasoning_field="reasoning"),
        Flavor("openai-compatible", done_proves=True),
    )
}
"""By preset."""


def reasons(model: str) -> bool:
    """Whether OpenAI's model of this name thinks: the o series and GPT-5 on, but not their `-chat` models."""
    return _REASONS.search(model) is not None and _CHAT.search(model) is None


def openai_efforts(model: str) -> tuple[str, ...]:
    """The reasoning efforts that OpenAI's model of this name takes; empty if it does not reason.

    `minimal` came with GPT-5 and left with 5.1, which brought `none`; `xhigh` came with 5.2.
    """
    if not reasons(model):
        return ()
    version = re.search(r"gpt-(\d+)(?:\.(\d+))?", model)
    if version is None:
        return _THREE
    number = (int(version[1]), int(version[2] or 0))
    if "-pro" in model:
        return ("high",) if number < (5, 2) else ("medium", "high", "xhigh")
    if number == (5, 0):
        return ("minimal", *_THREE)
    return ("none", *_THREE) if number < (5, 2) else ("none", *_THREE, "xhigh")


def nearest_effort(effort: str, known: tuple[str, ...]) -> str | None:
    """The effort itself or the nearest one known; None where there is none, and for `none` where it is not known."""
    if effort in known:
        return effort
    order = ("minimal", "low", "medium", "high", "xhigh")
    choices = [name for name in known if name in order]
    if effort == "none" or not choices:
        return None
    return min(choices, key=lambda name: abs(order.index(name) - order.index(effort)))
