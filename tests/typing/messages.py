"""What type checkers accept as messages: `make types` checks it under mypy --strict and pyright strict. Never run."""

from collections.abc import Mapping
from typing import Any, assert_type

from hotspare import ChatReply, ChatRequest, Message, MessageDict, Pool


def literals(pool: Pool) -> None:
    """Messages written in the call, plain and with parts, tool calls and results."""
    pool.chat([{"role": "user", "content": "hi"}])
    pool.chat([{"role": "user", "content": [{"type": "text", "text": "hi"}, "there"]}])
    pool.chat(
        [
            {"role": "system", "content": "Be brief."},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c", "content": "42"},
        ]
    )


def variables(
    pool: Pool,
    texts: list[dict[str, str]],
    anything: list[dict[str, Any]],
    objects: list[dict[str, object]],
    mappings: tuple[Mapping[str, Any], ...],
    typed: list[MessageDict],
    messages: list[Message],
) -> None:
    """Lists of any dicts and mappings, and of the documented types."""
    assert_type(pool.chat(texts), ChatReply)
    pool.chat(anything)
    pool.chat(objects)
    pool.chat(mappings)
    pool.chat(typed)
    pool.chat(messages)
    ChatRequest(messages=anything)


def history(pool: Pool) -> None:
    """A conversation that grows by replies."""
    messages: list[Message] = [{"role": "user", "content": "hi"}]
    messages.append(pool.chat(messages).message)
    dicts: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
    dicts.append(pool.chat(dicts).message)
    typed: list[MessageDict] = [{"role": "user", "content": "hi"}]
    typed.append({"role": "robot", "content": "hi"})  # type: ignore[typeddict-item]  # pyright: ignore[reportArgumentType]
    typed.append({"role": "user", "contnet": "hi"})  # type: ignore[typeddict-unknown-key]  # pyright: ignore[reportArgumentType]
