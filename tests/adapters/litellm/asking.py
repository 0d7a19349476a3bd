"""One question through any of LiteLLM's four faces."""

from typing import Any

import litellm
import pytest

ASK = [{"role": "user", "content": "hello there"}]
FACES = pytest.mark.parametrize("face", ["completion", "acompletion", "stream", "astream"])


async def ask(face: str, on: Any = litellm, **call: Any) -> tuple[str, list[Any]]:
    """The text, and the answer or its chunks. `on` is litellm itself or a Router."""
    call = {"model": "hotspare/default", "messages": ASK, **call}
    if face == "completion":
        answers = [on.completion(**call)]
    elif face == "acompletion":
        answers = [await on.acompletion(**call)]
    elif face == "stream":
        answers = list(on.completion(**call, stream=True))
    else:
        answers = [chunk async for chunk in await on.acompletion(**call, stream=True)]
    if face.endswith("completion"):
        return answers[0].choices[0].message.content, answers
    return "".join(chunk.choices[0].delta.content or "" for chunk in answers if chunk.choices), answers
