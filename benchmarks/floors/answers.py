"""What both measurements share: the answer, its price, and a pool of targets that give it from memory."""

from collections.abc import Callable
from typing import Any

from hotspare import ChatReply, ChatRequest, Pool, Price, Target, Usage

from benchmarks.core import CHUNKS, AtOnce

MODEL = "m"
WORD = "word "
TEXT = WORD * CHUNKS
PRICE = Price(2, 8)
COST = (5 * PRICE.input + CHUNKS * PRICE.output) / 1e6
KINDS = ("a call", f"a stream of {CHUNKS} chunks")
Calls = dict[str, Callable[[], Any]]
"""A call of each kind, by its row. Those of async rows return coroutines."""


class _Backend(AtOnce):
    """Answers from memory, with the name of a model: LiteLLM looks up its price."""

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The same answer to everything."""
        return ChatReply(text=TEXT, model=MODEL, id="c1", usage=Usage(5, CHUNKS))


def new_pool() -> Pool:
    """A pool of two such targets."""
    targets = [Target(f"x/{MODEL}", name=name, backend=_Backend(), price=PRICE) for name in "ab"]
    return Pool(targets, completion="wait")
