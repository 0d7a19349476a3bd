"""How each provider's Chat Completions differ from OpenAI's. Sources: the providers' API references, the recorded exchanges
of the conformance tests, and LiteLLM's transformations."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

from hotspare.messages import ReasoningEffort
from hotspare.providers.history import HistoryRules, IdRule
from hotspare.target import ReasoningReplay, RequestField

OPENAI_PARTS = frozenset({"text", "refusal", "image_url", "input_audio", "file"})
MISTRAL = "mistral"
"""The flavor, and the dialect of reasoning blocks, of Mistral."""
IDS = IdRule(re.compile(r"[!-~]{1,40}"))
"""OpenAI: "string too long. Expected a string with maximum length 40"."""
_MISTRAL_IDS = IdRule(re.compile(r"[A-Za-z0-9]{9}"), prefix="", digits=9)
"""Mistral: "Tool call id … must be a-z, A-Z, 0-9, with a length of 9"."""
_REASONING_MODEL = re.compile(r"(?:^|[/.])(o\d|gpt-(?:[5-9]|\d\d))")
_NONE = re.compile(r"(?!)")
_CHAT_MODEL = re.compile(r"gpt-5(?:\.\d)?-chat")


@dataclass(frozen=True, slots=True)
class Flavor:
    """How one provider's Chat Completions differ from OpenAI's.

    name: the preset's name.
    ids: which tool-call ids it accepts.
    cache_control: whether it accepts `cache_control`.
    unsupported: fields of ChatRequest that it rejects or ignores.
    content_parts: the types of content parts that it accepts; None: any.
    openai_models: whether OpenAI's model names decide what a model accepts.
    developer_role: whether it knows the role `developer`; else it is sent as `system`.
    refusal_field: whether assistant messages may have `refusal`; else it is sent as text.
    allowed_tools: whether `tool_choice` may be of type `allowed_tools`.
    forced_tool_choice: whether `tool_choice` may be other than `auto`.
    json_schema: whether `response_format` may be of type `json_schema`.
    effort_field: the field that holds the reasoning effort, in this provider's shape.
    effort_levels: the efforts that it accepts.
    reasoning_field: the field in which it takes the reasoning of earlier turns; None: not sent.
    reasoning_signer: the dialect of the reasoning blocks that it sends and accepts: `reasoning_details`, or the `thinking` parts
        of the content (Mistral). They are sent back only to the model that wrote them.
    stream_usage_option: whether a stream's usage must be requested with `stream_options`.
    done_completes: whether an answer may be complete without a finish reason: a stream that ended with `[DONE]`, or a whole answer.
    joins_text_parts: whether content that consists of text parts is sent as one string.
    seed_field: its name for `seed`.
    required_choice: its value for `tool_choice="required"`.
    prefill: what makes it continue an assistant message at the end of a request: nothing else (`trailing`), `prefix` in that message
        (Mistral, DeepSeek), or `continue_final_message` in the body (vLLM).
    prefilled_models: the models that continue it; None: all.
    extra_message_fields: fields of messages that it accepts besides OpenAI's.
    """

    name: str = "openai-compatible"
    ids: IdRule = IDS
    cache_control: bool = False
    unsupported: frozenset[RequestField] = frozenset()
    content_parts: frozenset[str] | None = None
    openai_models: bool = False
    developer_role: bool = False
    refusal_field: bool = False
    allowed_tools: bool = False
    json_schema: bool = True
    forced_tool_choice: bool = True
    effort_field: Literal["reasoning_effort", "reasoning", "thinking"] = "reasoning_effort"
    effort_levels: tuple[ReasoningEffort, ...] = get_args(ReasoningEffort)
    reasoning_field: str | None = None
    reasoning_signer: str | None = None
    stream_usage_option: bool = True
    done_completes: bool = False
    joins_text_parts: bool = False
    seed_field: str = "seed"
    required_choice: str = "required"
    prefill: Literal["trailing", "prefix", "continue_final_message"] = "trailing"
    prefilled_models: re.Pattern[str] | None = _NONE
    extra_message_fields: frozenset[str] = frozenset()

    @property
    def history(self) -> HistoryRules:
        """The rules for the histories that it accepts."""
        signers = frozenset({self.reasoning_signer} if self.reasoning_signer else ())
        return HistoryRules(self.ids, signers, cache_control=self.cache_control, media_in_results=False)

    def replaying(self, field: ReasoningReplay) -> Flavor:
        """This flavor with earlier reasoning in another field. Blocks of `reasoning_details` are kept for the model that sent them."""
        if field == "reasoning_details":
            return replace(self, reasoning_field=None, reasoning_signer=self.reasoning_signer or self.name)
        return replace(self, reasoning_field=None if field == "off" else field, reasoning_signer=None)


_OPENAI = Flavor(
    "openai",
    unsupported=frozenset({"top_k"}),
    content_parts=OPENAI_PARTS,
    openai_models=True,
    developer_role=True,
    refusal_field=True,
    allowed_tools=True,
)
_PREFILLED_AT_OPENROUTER = re.compile(
    r"^(?:anthropic/claude-(?:3|(?:opus|sonnet|haiku)-4(?:[.-][0-5])?(?![.-]?\d))|mistralai/|deepseek/)"
)
"""Models that continue an assistant message there. OpenAI's models begin a new answer; Claude rejects the request from 4.6 on."""
_LOW_TO_HIGH: tuple[ReasoningEffort, ...] = ("low", "medium", "high")

FLAVORS = {
    flavor.name: flavor
    for flavor in (
        _OPENAI,
        replace(_OPENAI, name="azure"),
        Flavor(
            "deepseek",
            unsupported=frozenset({"top_k", "seed", "user", "parallel_tool_calls"}),
            content_parts=frozenset({"text", "image_url", "refusal"}),
            json_schema=False,
            effort_field="thinking",
            reasoning_field="reasoning_content",
            joins_text_parts=True,
            prefill="prefix",
        ),
        Flavor("holysheep", unsupported=frozenset({"top_k"})),
        Flavor(
            "openrouter",
            cache_control=True,
            effort_field="reasoning",
            reasoning_signer="openrouter",
            reasoning_field="reasoning",
            prefilled_models=_PREFILLED_AT_OPENROUTER,
        ),
        Flavor("groq", unsupported=frozenset({"top_k", "frequency_penalty", "presence_penalty"})),
        Flavor(
            MISTRAL,
            ids=_MISTRAL_IDS,
            unsupported=frozenset({"top_k", "user"}),
            content_parts=frozenset({"text", "refusal", "image_url", "input_audio", "document_url", "file"}),
            effort_levels=("none", "high"),
            stream_usage_option=False,
            seed_field="random_seed",
            required_choice="any",
            reasoning_signer=MISTRAL,
            prefill="prefix",
            prefilled_models=None,
            extra_message_fields=frozenset({"prefix"}),
        ),
        Flavor("xai", unsupported=frozenset({"top_k"}), effort_levels=("none", *_LOW_TO_HIGH)),
        Flavor("bedrock"),
        Flavor("together"),
        Flavor("fireworks"),
        Flavor(
            "ollama",
            unsupported=frozenset({"top_k", "parallel_tool_calls", "user"}),
            forced_tool_choice=False,
            reasoning_field="reasoning",
            prefilled_models=None,
        ),
        Flavor("vllm", reasoning_field="reasoning", prefill="continue_final_message", prefilled_models=None),
        Flavor("openai-compatible", done_completes=True),
    )
}
"""By the name of the preset."""


@lru_cache(maxsize=1024)
def is_reasoning_model(model: str) -> bool:
    """Whether OpenAI's model of this name reasons: the o series and GPT-5 on, but not their `-chat` models."""
    return _REASONING_MODEL.search(model) is not None and _CHAT_MODEL.search(model) is None


def openai_effort_levels(model: str) -> tuple[ReasoningEffort, ...]:
    """The reasoning efforts that OpenAI's model of this name accepts; empty if it does not reason.

    `minimal` came with GPT-5 and left with 5.1, which brought `none`; `xhigh` came with 5.2.
    """
    if not is_reasoning_model(model):
        return ()
    version = re.search(r"gpt-(\d+)(?:\.(\d+))?", model)
    if version is None:
        return _LOW_TO_HIGH
    number = (int(version[1]), int(version[2] or 0))
    if "-pro" in model:
        return ("high",) if number < (5, 2) else ("medium", "high", "xhigh")
    if number == (5, 0):
        return ("minimal", *_LOW_TO_HIGH)
    return ("none", *_LOW_TO_HIGH) if number < (5, 2) else ("none", *_LOW_TO_HIGH, "xhigh")


def nearest_effort(effort: str, levels: tuple[ReasoningEffort, ...]) -> ReasoningEffort | None:
    """The effort itself if it is among `levels`, else the nearest one. `none` matches only itself; None if no level matches."""
    order: tuple[str, ...] = get_args(ReasoningEffort)
    choices: list[ReasoningEffort] = [level for level in levels if level == effort or "none" not in (level, effort)]
    return min(choices, key=lambda level: abs(order.index(level) - order.index(effort)), default=None)
