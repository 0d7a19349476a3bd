"""What each generation of Claude can be asked: thinking, effort, sampling, structured output.

Source: the notes in the anthropic 2.12 SDK (`thinking`, `output_config`), its list of models, LiteLLM's model map and
recorded answers of the API ("This model does not support effort level 'xhigh'. Supported levels: high, low, max,
medium").
"""

import re
from dataclasses import dataclass

_NAME = re.compile(
    r"claude-(?:(?P<family>opus|sonnet|haiku|fable|mythos)-)?(?P<major>\d{1,2})(?:[-.](?P<minor>\d{1,2}))?(?!\d)"
)
_ALWAYS_THINKING = frozenset({("sonnet", 5, 5), ("opus", 5, 5)})
BUDGETS = {"minimal": 1024, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192}
"""Thinking tokens for a model that wants a number: LiteLLM's figures; 1,024 is Anthropic's least."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What a model takes.

    `thinks`: it can reason. `adaptive`: by `thinking.type=adaptive` and `output_config.effort`, not by a budget.
    `xhigh`: it knows that effort. `always_thinks`: reasoning cannot be switched off. `sampling`: it takes temperature,
    top_p and top_k. `schema`: it takes a JSON schema for its answer.
    `prefill`: it continues an assistant message at the end (from 4.6 on it answers 400 "This model does not support
    assistant message prefill").
    """

    thinks: bool = True
    adaptive: bool = False
    xhigh: bool = False
    always_thinks: bool = False
    sampling: bool = True
    schema: bool = True
    prefill: bool = True


def traits_of(model: str) -> Traits:
    """The traits of a model by its name. Of an unknown one (another vendor behind this format) the classic ones."""
    found = _NAME.search(model)
    if found is None:
        newest = "mythos" in model or "fable" in model
        return Traits(adaptive=newest, xhigh=newest, always_thinks=newest, sampling=not newest)
    family = found["family"] or ""
    version = (int(found["major"]), int(found["minor"] or 0))
    late = version >= (5, 0) or (family == "opus" and version >= (4, 7))
    return Traits(
        thinks=version >= (3, 7),
        adaptive=version >= (4, 6),
        xhigh=late,
        always_thinks=family in ("fable", "mythos") or (family, *version) in _ALWAYS_THINKING,
        sampling=not late,
        prefill=version < (4, 6),
        schema=version >= (4, 5) or (family == "opus" and version >= (4, 1)),
    )


def effort_of(effort: str, traits: Traits) -> str:
    """The nearest effort that the model knows: Anthropic has no `minimal`, older models no `xhigh`."""
    if effort == "minimal":
        return "low"
    return "high" if effort == "xhigh" and not traits.xhigh else effort
