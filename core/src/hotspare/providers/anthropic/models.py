"""The features of each generation of Claude: thinking, effort, sampling, structured output.

Sources: the notes in the anthropic 2.12 SDK (`thinking`, `output_config`), its list of models, LiteLLM's model map and
recorded responses of the API ("This model does not support effort level 'xhigh'. Supported levels: high, low, max,
medium").
"""

import re
from dataclasses import dataclass

_NAME = re.compile(
    r"claude-(?:(?P<family>opus|sonnet|haiku|fable|mythos)-)?(?P<major>\d{1,2})(?:[-.](?P<minor>\d{1,2}))?(?!\d)"
)
_ALWAYS_REASONING = frozenset({("sonnet", 5, 5), ("opus", 5, 5)})
THINKING_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192}
"""Thinking budgets in tokens by effort, for models that require a number. LiteLLM's figures; 1,024 is Anthropic's minimum."""


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """What a model accepts.

    reasoning: whether it can reason.
    adaptive: reasoning is set by `thinking.type=adaptive` and `output_config.effort`, not by a budget of tokens.
    xhigh: whether it accepts the effort `xhigh`.
    always_reasoning: reasoning cannot be switched off.
    sampling: whether it accepts temperature, top_p and top_k.
    json_schema: whether it accepts a JSON schema for its answer.
    prefill: whether it continues an assistant message at the end of the request. From 4.6 on the API answers 400 "This
        model does not support assistant message prefill".
    """

    reasoning: bool = True
    adaptive: bool = False
    xhigh: bool = False
    always_reasoning: bool = False
    sampling: bool = True
    json_schema: bool = True
    prefill: bool = True


def traits_of(model: str) -> ModelTraits:
    """The traits of a model by its name. An unknown one (another vendor with this wire format) gets those of Claude 4.5."""
    found = _NAME.search(model)
    if found is None:
        newest = "mythos" in model or "fable" in model
        return ModelTraits(adaptive=newest, xhigh=newest, always_reasoning=newest, sampling=not newest)
    family = found["family"] or ""
    version = (int(found["major"]), int(found["minor"] or 0))
    late = version >= (5, 0) or (family == "opus" and version >= (4, 7))
    return ModelTraits(
        reasoning=version >= (3, 7),
        adaptive=version >= (4, 6),
        xhigh=late,
        always_reasoning=family in ("fable", "mythos") or (family, *version) in _ALWAYS_REASONING,
        sampling=not late,
        prefill=version < (4, 6),
        json_schema=version >= (4, 5) or (family == "opus" and version >= (4, 1)),
    )


def effort_of(effort: str, traits: ModelTraits) -> str:
    """The nearest effort that the model accepts. Anthropic has no `minimal`, older models have no `xhigh`."""
    if effort == "minimal":
        return "low"
    return "high" if effort == "xhigh" and not traits.xhigh else effort
