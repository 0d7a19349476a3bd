"""Decides which requests need the Responses API at a target that also has Chat Completions.

Sources: OpenAI's list of models and their endpoints, and its error messages: "This model is only supported in v1/responses and not in
v1/chat/completions.", "Function tools with reasoning_effort are not supported for gpt-5.4 in /v1/chat/completions. Please use
/v1/responses instead."; Bedrock's model cards of GPT-5, and its error message, which names the API that was called: "The model
'openai.gpt-5.6-terra' does not support the '/v1/chat/completions' API".
"""

import re

from hotspare._classify.rules import classify
from hotspare.errors import StatusError
from hotspare.messages import ChatRequest

_ONLY_RESPONSES = re.compile(r"(?:gpt|o\d).*-pro\b|codex|deep-research|computer-use|^openai\.gpt-(?!oss)")
_VERSION = re.compile(r"gpt-(\d+)(?:\.(\d+))?(?!.*-chat)")
_NAMES_RESPONSES = re.compile(
    r"\bv1/responses\b|\bresponses api\b|(?<![\w/])/responses\b|not support the \S*/chat/completions\S* api\b", re.I
)


class ResponsesBesideChat:
    """Responses as the second API of one target. `is_known`: whether the model's name decides which requests need it, as at OpenAI."""

    def __init__(self, model: str, *, is_known: bool) -> None:
        self._always = is_known and only_responses(model)
        self._with_tools = is_known and tools_by_responses(model)

    def serves(self, request: ChatRequest) -> bool:
        """Whether this request needs Responses."""
        return self._always or (self._with_tools and uses_tools(request))

    def learn(self, error: StatusError, request: ChatRequest) -> bool:
        """Learn from a rejection by Chat Completions. Returns whether it says that Responses is needed. This then holds for requests with
        tools if the rejected one had tools, else for all requests."""
        if not names_responses(error):
            return False
        if uses_tools(request):
            self._with_tools = True
        else:
            self._always = True
        return True


def only_responses(model: str) -> bool:
    """Whether no other API serves this model."""
    return _ONLY_RESPONSES.search(model) is not None


def tools_by_responses(model: str) -> bool:
    """Whether Chat Completions rejects tools for this model unless reasoning is off: from GPT-5.4 on."""
    found = _VERSION.search(model)
    return found is not None and (int(found[1]), int(found[2] or 0)) >= (5, 4)


def uses_tools(request: ChatRequest) -> bool:
    """Whether the request has tools, and reasoning is not off."""
    return bool(request.tools) and request.reasoning_effort != "none"


def names_responses(error: StatusError) -> bool:
    """Whether an error of Chat Completions says that the Responses API must be used instead."""
    return error.status in (400, 404) and _NAMES_RESPONSES.search(classify(error).message) is not None
