# LangChain names the methods that a chat model must implement with an underscore, although they are part of its API.
# pyright: reportPrivateUsage=false
"""Structured answers that were cut at `max_tokens`.

OpenAI's SDK parses structured answers, and raises LengthFinishReasonError for a cut one. hotspare's own targets return such an answer
with the finish reason `length`, and so do LangChain's models behind hotspare.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import ChatResult


def cut_answer(model: BaseChatModel, error: Exception) -> ChatResult:
    """The cut answer inside the error of OpenAI's SDK. Raises any other error again."""
    create: Any = getattr(model, "_create_chat_result", None)
    if not _is_cut(error) or create is None:
        raise error
    result: ChatResult = create(getattr(error, "completion", None))
    return result


@contextmanager
def ignore_cut_answers() -> Generator[None]:
    """For a stream: ignore this error, which the SDK raises after all chunks and the finish reason."""
    try:
        yield
    except Exception as error:
        if not _is_cut(error):
            raise


def _is_cut(error: Exception) -> bool:
    return type(error).__name__ == "LengthFinishReasonError" and getattr(error, "completion", None) is not None
