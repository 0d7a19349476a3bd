"""Embeddings: texts to vectors, with the failover of calls, at targets that serve the same model.

An index that was built by one model cannot be searched with another's vectors. So all targets of an embedding call must serve
the same model, and all its vectors must have the same length.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict, cast

from hotspare._config.hints import hint_for, unknown_field
from hotspare.errors import Problem, RequestError
from hotspare.messages import ChatReply, ChatRequest, Usage
from hotspare.outcome import AttemptRecord

if TYPE_CHECKING:
    from hotspare.target import Target

Vector = Sequence[float]
BATCH_SIZE = 100
"""Texts in one request: Gemini takes no more (ai.google.dev/api/embeddings); OpenAI takes 2,048."""


class EmbedOptions(TypedDict, total=False):
    """What `Pool.embed` takes beside its texts.

    `model`: a route, a model, an alias or a target's name, as in `chat`; needed where the pool has targets of several models.
    `dimensions`: the length of the vectors, for models that can shorten them. `batch_size`: texts in one request (100).
    `extra`: body fields for one dialect, e.g. ``{"gemini": {"taskType": "RETRIEVAL_QUERY"}}``. The others are as in `CallOptions`.
    """

    model: str | None
    dimensions: int | None
    batch_size: int
    extra: Mapping[str, Mapping[str, Any]] | None
    user: str | None
    deadline: float | None
    max_attempts: int | None
    labels: Mapping[str, str] | None
    regions: Collection[str] | None
    prefer_regions: Collection[str] | None
    max_price: float | None
    only: Collection[str] | None
    avoid: Collection[str] | None


_OPTIONS = tuple(EmbedOptions.__annotations__)


@dataclass(frozen=True, slots=True)
class EmbedInput:
    """The texts that one request turns into vectors; `ChatRequest.native` of an embedding call."""

    texts: tuple[str, ...]
    dimensions: int | None = None


@dataclass(frozen=True, slots=True)
class EmbedReply:
    """The vectors, in the order of the texts.

    `model`: as the provider names it. `targets`: the targets that answered, one for each request. `cost`: USD, None if no price or no
    usage is known.
    """

    vectors: list[Vector] = field(repr=False)
    model: str
    targets: tuple[str, ...]
    attempts: tuple[AttemptRecord, ...]
    usage: Usage
    cost: float | None

    @property
    def dimensions(self) -> int:
        """The length of the vectors."""
        return len(self.vectors[0])


def texts_of(texts: object) -> list[str]:
    """The texts of an embedding call. Raises RequestError, which names every input that is not a text."""
    if isinstance(texts, str):
        return [texts]
    if not isinstance(texts, Iterable):
        raise RequestError(Problem.at("texts", texts, "must be a text or a list of texts"))
    found = list(cast("Iterable[object]", texts))
    problems = [
        Problem.at(f"texts[{place}]", text, "must be a string")
        for place, text in enumerate(found)
        if not isinstance(text, str)
    ]
    if not found:
        problems = [Problem("texts: must hold at least one text")]
    if problems:
        raise RequestError(problems)
    return cast("list[str]", found)


def requests_of(texts: Sequence[str], options: dict[str, Any]) -> Iterator[ChatRequest]:
    """The requests of an embedding call; the options of the calls stay in `options`. Raises RequestError for an invalid number."""
    unknown = [
        unknown_field(name, options[name], "EmbedOptions", hint_for(name, {}, _OPTIONS))
        for name in options.keys() - {*_OPTIONS}
    ]
    if unknown:
        raise RequestError(unknown)
    dimensions, batch_size = options.pop("dimensions", None), options.pop("batch_size", BATCH_SIZE)
    for name, value in (("dimensions", dimensions), ("batch_size", batch_size)):
        if not (type(value) is int and value > 0) and not (name == "dimensions" and value is None):
            raise RequestError(Problem.at(name, value, "must be an integer above 0"))
    for start in range(0, len(texts), batch_size):
        batch = tuple(texts[start : start + batch_size])
        # The prompt's tokens are estimated from the longest text, because each text may fill the model's whole context window.
        longest = max(batch, key=len)
        yield ChatRequest(messages=[{"role": "user", "content": longest}], native=EmbedInput(batch, dimensions))


def common_model(targets: Sequence[Target]) -> str:
    """The one model that all these targets serve: the last part of its name, or an alias. Raises RequestError if there is none."""
    common = _names(targets[0]).intersection(*(_names(target) for target in targets[1:]))
    if not common:
        served = ", ".join(f"{target.name} ({target.model})" for target in targets)
        raise RequestError(
            Problem(
                f"model: these targets serve different models, whose vectors cannot be compared with each other: {served}. Name "
                "the one model that the index was built with: model='…'; or, where they serve the same model under "
                "different names, give the targets a common name: Target(aliases={'…'})"
            )
        )
    return min(common)


def _names(target: Target) -> set[str]:
    return {name.rpartition("/")[2] for name in (target.model, *target.aliases)}


def vectors_of(reply: ChatReply) -> list[Vector]:
    """The vectors of a reply from a wire format for embeddings."""
    return cast("list[Vector]", reply.native)


class SameLength:
    """Accepts answers whose vectors are as long as those of earlier answers. If an answer is rejected, the next target is called."""

    def __init__(self) -> None:
        self._length: int | None = None

    def __call__(self, reply: ChatReply) -> bool | str:
        """True, or why the answer is rejected."""
        lengths = {len(vector) for vector in vectors_of(reply)}
        if self._length is not None:
            lengths.add(self._length)
        if len(lengths) > 1:
            return f"vectors of {' and '.join(map(str, sorted(lengths)))} numbers cannot be compared with each other"
        self._length = lengths.pop()
        return True


def joined(replies: Sequence[ChatReply], model: str) -> EmbedReply:
    """The answers of an embedding call's requests as one. `model`: used if the provider does not name it."""
    costs = [reply.cost for reply in replies]
    return EmbedReply(
        [vector for reply in replies for vector in vectors_of(reply)],
        replies[0].model or model,
        tuple(reply.target for reply in replies),
        tuple(attempt for reply in replies for attempt in reply.attempts),
        sum((reply.usage for reply in replies), Usage()),
        None if None in costs else sum(cost for cost in costs if cost is not None),
    )
