"""Stream chunks that cost LiteLLM and hotspare less CPU time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, cast

from litellm_hotspare.litellm_api import litellm, types

_NEXT = litellm.CustomStreamWrapper.__next__.__code__


class Chunk(types.ModelResponseStream):
    """LiteLLM's chunk, which looks the same when printed. LiteLLM formats each chunk of a sync stream twice, for a debug message that
    it prints only with `set_verbose`. Without `set_verbose`, LiteLLM's own code gets an empty text, which saves that time."""

    def __format__(self, spec: str) -> str:
        caller = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
        return "" if caller.f_code is _NEXT and not litellm.set_verbose else format(str(self), spec)

    def __repr_name__(self) -> str:
        return "ModelResponseStream"


def copied(model: Any, /, **values: Any) -> Any:
    """`model.model_copy(update=values)` in half the time, with hidden parameters of its own."""
    fields, extra = model.__dict__.copy(), model.__pydantic_extra__.copy()
    for name, value in values.items():
        (fields if name in fields else extra)[name] = value
    private = model.__pydantic_private__
    kind = cast("Any", type(model))
    found = kind.__new__(kind)
    found.__setstate__(
        {
            "__dict__": fields,
            "__pydantic_extra__": extra,
            "__pydantic_fields_set__": model.__pydantic_fields_set__.copy(),
            "__pydantic_private__": None if private is None else {**private, "_hidden_params": {}},
        }
    )
    return found


def joined(chunks: Sequence[Any]) -> list[Any]:
    """A stream's chunks, with successive text-only ones merged, because LiteLLM's builder looks at each chunk about ten times."""
    found: list[Any] = []
    texts: list[str] = []
    for chunk in chunks:
        text = _only_text(chunk)
        if text is not None and texts and _differ_only_in_choices(chunk, found[-1]):
            texts.append(text)
            continue
        _write(found, texts)
        texts = [] if text is None else [text]
        found.append(chunk)
    _write(found, texts)
    return found


def _only_text(chunk: Any) -> str | None:
    """The text of a `Chunk` that has nothing else, as `ChunkConverter` made it; None for any other."""
    if type(chunk) is not Chunk or len(chunk.choices) != 1:
        return None
    choice = chunk.choices[0]
    delta = choice.delta
    is_bare = (
        not chunk.__pydantic_private__["_hidden_params"]
        and _fields(choice, "delta") == _CHOICE
        and _fields(delta, "content") == _DELTA
    )
    text = delta.content if is_bare else None
    return text if isinstance(text, str) else None


def _differ_only_in_choices(chunk: Any, other: Any) -> bool:
    return _fields(chunk, "choices") == _fields(other, "choices")


def _fields(model: Any, but: str) -> dict[str, Any]:
    """Declared and undeclared fields, all but one."""
    return {**model.__dict__, **model.__pydantic_extra__, but: None}


_DELTA = _fields(types.Delta(), "content")
_CHOICE = _fields(types.StreamingChoices(index=0, finish_reason=None), "delta")


def _write(found: list[Any], texts: Sequence[str]) -> None:
    """Replace the last chunk by one with all of these texts."""
    if len(texts) > 1:
        choice = found[-1].choices[0]
        delta = copied(choice.delta, content="".join(texts))
        found[-1] = copied(found[-1], choices=[copied(choice, delta=delta)])
