"""One question through any of LiteLLM's four methods."""

from typing import Any

import litellm
import pytest

MESSAGES = [{"role": "user", "content": "hello there"}]
METHODS = pytest.mark.parametrize("method", ["completion", "acompletion", "stream", "astream"])


async def complete(method: str, on: Any = litellm, **call: Any) -> tuple[str, list[Any]]:
    """The text, and the response or its chunks. `on` is litellm itself or a Router."""
    call = {"model": "hotspare/default", "messages": MESSAGES, **call}
    if method == "completion":
        answers = [on.completion(**call)]
    elif method == "acompletion":
        answers = [await on.acompletion(**call)]
    elif method == "stream":
        answers = list(on.completion(**call, stream=True))
    else:
        answers = [chunk async for chunk in await on.acompletion(**call, stream=True)]
    if method.endswith("completion"):
        return answers[0].choices[0].message.content, answers
    return "".join(chunk.choices[0].delta.content or "" for chunk in answers if chunk.choices), answers
