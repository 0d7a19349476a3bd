# What a chat model has to implement is named with an underscore by LangChain; it is its contract all the same.
# pyright: reportPrivateUsage=false
"""Structured answers that OpenAI's SDK does not return because they were cut at `max_tokens`.

It parses them, and raises LengthFinishReasonError for one that is not whole. hotspare's own targets return such an answer with
the finish reason `length`, and so do LangChain's models behind hotspare.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import ChatResult


def cut_answer(model: BaseChatModel, error: Exception) -> ChatResult:
    """The answer that OpenAI's SDK did not parse. Raises any other error."""
    create: Any = getattr(model, "_create_chat_result", None)
    if not _is_cut(error) or create is None:
        raise error
    result: ChatResult = create(getattr(error, "completion", None))
    return result


@contextmanager
def ignore_cut_answers() -> Generator[None]:
    """For a stream: the SDK raises when all chunks, and the finish reason, were handed out."""
    try:
        yield
    except Exception as error:
        if not _is_cut(error):
            raise


def _is_cut(error: Exception) -> bool:
    return type(error).__name__ == "LengthFinishReasonError" and getattr(error, "completion", None) is not None
