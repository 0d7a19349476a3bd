"""What is known of LangChain's own classes: how their calls name things, and what they take. No partner package is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hotspare import ChatRequest
from langchain_core.language_models import BaseChatModel

_FIELDS = ("temperature", "top_p", "top_k", "max_tokens", "seed", "frequency_penalty", "presence_penalty", "user")
_EVERY = {name: name for name in (*_FIELDS, "reasoning_effort")}


@dataclass(frozen=True, slots=True)
class Family:
    """A class of LangChain's, with all that derive from it.

    `words`: a request's fields, and how a call of the model names them; fields that are not there have no place in its calls.
    `known`: its calls take a `timeout` in seconds, and its streams end with a finish reason. `own_levels`: a model whose
    profile names no `reasoning_effort_levels` takes none.
    """

    words: Mapping[str, str]
    known: bool = True
    own_levels: bool = False

    def settings(self, request: ChatRequest, profile: Mapping[str, Any]) -> dict[str, Any]:
        """The keywords of a call for what the request sets."""
        found = {self.words[name]: value for name, value in _set(request).items() if name in self.words}
        if request.reasoning_effort == "none" and "none" not in (profile.get("reasoning_effort_levels") or ()):
            found.pop("reasoning_effort", None)  # it does not reason unasked; who does and cannot be told was not asked
        return found

    def unsupported(self, request: ChatRequest, profile: Mapping[str, Any]) -> list[str]:
        """Fields that a model of this family with this profile cannot be told."""
        found = [name for name in _set(request) if name not in self.words]
        effort = request.reasoning_effort
        if effort is None or not profile:
            return found
        levels = profile.get("reasoning_effort_levels") or ()
        if effort == "none":
            deaf = bool(levels) and "none" not in levels
        else:
            deaf = profile.get("reasoning_output") is False or (
                effort not in levels and bool(levels or self.own_levels)
            )
        return [*found, "reasoning_effort"] if deaf else found


def _set(request: ChatRequest) -> dict[str, Any]:
    return {name: value for name in _EVERY if (value := getattr(request, name)) is not None}


def _words(*without: str, **other: str) -> dict[str, str]:
    return {name: other.get(name, name) for name in _EVERY if name not in without}


_FAMILIES = {
    "BaseChatOpenAI": Family(_words("top_k")),
    "ChatAnthropic": Family(_words("seed", "frequency_penalty", "presence_penalty", "user"), own_levels=True),
    "ChatGoogleGenerativeAI": Family(_words("user", max_tokens="max_output_tokens")),
}
_STRANGER = Family(_EVERY, known=False)
"""A class that nobody here knows gets a request's own words."""


def family_of(model: BaseChatModel) -> Family:
    """What is known of this model's class."""
    names = (parent.__name__ for parent in type(model).__mro__)
    return next((_FAMILIES[name] for name in names if name in _FAMILIES), _STRANGER)


def is_a(model: BaseChatModel, *names: str) -> bool:
    """Whether the model's class, or one that it derives from, has one of these names."""
    return any(parent.__name__ in names for parent in type(model).__mro__)
