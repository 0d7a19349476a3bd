"""Which of OpenAI's models need the Responses API.

Sources: OpenAI's list of models and their endpoints, and its refusals: "This model is only supported in v1/responses and not in
v1/chat/completions.", "Function tools with reasoning_effort are not supported for gpt-5.4 in /v1/chat/completions. Please use
/v1/responses instead."
"""

import re

from hotspare._classify.rules import classify
from hotspare.errors import StatusError
from hotspare.messages import ChatRequest

_ONLY_RESPONSES = re.compile(r"(?:gpt|o\d).*-pro\b|codex|deep-research|computer-use")
_VERSION = re.compile(r"gpt-(\d+)(?:\.(\d+))?(?!.*-chat)")
_NAMES_RESPONSES = re.compile(r"\bv1/responses\b|\bresponses api\b|(?<![\w/])/responses\b", re.I)


def only_responses(model: str) -> bool:
    """Whether no other API serves this model."""
    return _ONLY_RESPONSES.search(model) is not None


def tools_by_responses(model: str) -> bool:
    """Whether Chat Completions refuses tools for this model unless reasoning is off: from GPT-5.4 on."""
    found = _VERSION.search(model)
    return found is not None and (int(found[1]), int(found[2] or 0)) >= (5, 4)


def uses_tools(request: ChatRequest) -> bool:
    """Whether the request has tools, and reasoning is not off."""
    return bool(request.tools) and request.reasoning_effort != "none"


def names_responses(error: StatusError) -> bool:
    """Whether a refusal of Chat Completions says that Responses is to be used instead."""
    return error.status in (400, 404) and _NAMES_RESPONSES.search(classify(error).message) is not None
