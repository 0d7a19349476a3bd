# LangChain names the methods that a chat model must implement with an underscore, although they are part of its API.
# pyright: reportPrivateUsage=false
"""The differences of LangChain's model classes: the names of their call's arguments, and the request fields that they support.

Classes are matched by name, so that no partner package is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any, Literal

from hotspare import ChatRequest
from langchain_core.language_models import BaseChatModel

IdRuleName = Literal["openai", "anthropic", "gemini", "any"]
_FIELDS = (
    "temperature", "top_p", "top_k", "max_tokens", "seed", "frequency_penalty", "presence_penalty", "user",
    "reasoning_effort",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """A LangChain class with all its subclasses.

    Args:
        arguments: a request's field to the keyword argument of the model's call. Fields that are missing here cannot
            be sent.
        known: the class takes `timeout` in seconds per call, and its streams end with a finish reason.
        ids: which tool-call ids its provider accepts. `any`: ids that nearly all providers accept.
        needs_effort_levels: whether a model without `reasoning_effort_levels` in its profile supports no reasoning effort.
    """

    arguments: Mapping[str, str]
    known: bool = True
    ids: IdRuleName = "any"
    needs_effort_levels: bool = False

    def call_arguments(self, request: ChatRequest, profile: Mapping[str, Any]) -> dict[str, Any]:
        """Keyword arguments of a call for the fields that the request sets."""
        found = {self.arguments[name]: value for name, value in _set(request).items() if name in self.arguments}
        if request.reasoning_effort == "none" and "none" not in (profile.get("reasoning_effort_levels") or ()):
            # `none` is the default of a model without reasoning; for a reasoning model without the level `none` see `unsupported`.
            found.pop("reasoning_effort", None)
        return found

    def unsupported(self, request: ChatRequest, profile: Mapping[str, Any]) -> list[str]:
        """Names of the request's fields that a model of this family with this profile does not support."""
        found = [name for name in _set(request) if name not in self.arguments]
        effort = request.reasoning_effort
        if effort is None or not profile:
            return found
        levels = profile.get("reasoning_effort_levels") or ()
        if effort == "none":
            rejected = bool(levels) and "none" not in levels
        else:
            rejected = profile.get("reasoning_output") is False or (
                effort not in levels and bool(levels or self.needs_effort_levels)
            )
        return [*found, "reasoning_effort"] if rejected else found


def _set(request: ChatRequest) -> dict[str, Any]:
    return {name: value for name in _FIELDS if (value := getattr(request, name)) is not None}


def _arguments(*without: str, **renamed: str) -> dict[str, str]:
    return {name: renamed.get(name, name) for name in _FIELDS if name not in without}


_FAMILIES = {
    "BaseChatOpenAI": ModelFamily(_arguments("top_k"), ids="openai"),
    "ChatAnthropic": ModelFamily(
        _arguments("seed", "frequency_penalty", "presence_penalty", "user"), ids="anthropic", needs_effort_levels=True
    ),
    "ChatGoogleGenerativeAI": ModelFamily(_arguments("user", max_tokens="max_output_tokens"), ids="gemini"),
}
_OTHER = ModelFamily(_arguments(), known=False)
"""Any other class is called with the request's own field names."""


def family_of(model: BaseChatModel) -> ModelFamily:
    """The family of a model, by its class or the nearest parent in the table."""
    names = (parent.__name__ for parent in type(model).__mro__)
    return next((_FAMILIES[name] for name in names if name in _FAMILIES), _OTHER)


def is_a(model: BaseChatModel, *names: str) -> bool:
    """Whether the model's class or one of its parents has one of these names."""
    return any(parent.__name__ in names for parent in type(model).__mro__)


def is_claude(model: BaseChatModel) -> bool:
    """Whether the model's class is one of those for Claude, at Anthropic, on Bedrock or on Vertex AI."""
    return "anthropic" in model._llm_type


def takes_parallel_tool_calls(model: BaseChatModel) -> bool:
    """Whether its `bind_tools` has the parameter `parallel_tool_calls`. Other models are called without it."""
    return is_a(model, "BaseChatOpenAI") or "parallel_tool_calls" in signature(model.bind_tools).parameters
