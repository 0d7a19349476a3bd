"""Session affinity: a conversation stays at the target that answered it last, which has its prompt cached.

Pure; the scheduler holds the lock."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

from hotspare._health.target_state import TargetState
from hotspare.messages import ChatRequest

_MAX_SESSIONS = 10_000
"""Conversations that are remembered; the least recently used is forgotten first."""


class Sessions:
    """The target that answered each conversation last, and when."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[TargetState, float]] = OrderedDict()

    def record(self, session: str, state: TargetState, now: float) -> None:
        """A target has answered."""
        self._known[session] = state, now
        self._known.move_to_end(session)
        if len(self._known) > _MAX_SESSIONS:
            self._known.popitem(last=False)

    def target_of(self, session: str, now: float, seconds: float) -> TargetState | None:
        """The target that answered last, if that was at most `seconds` ago."""
        state, at = self._known.get(session, (None, 0.0))
        return state if now - at < seconds else None


def prompt_session(request: ChatRequest) -> str:
    """The name of the conversation to which a request belongs: a hash of its tools and of its messages up to the first user message,
    which all requests of a conversation have in common."""
    digest = blake2b(repr(request.tools).encode("utf-8", "surrogatepass"), digest_size=16)
    for message in request.messages:
        digest.update(repr((message.get("role"), message.get("content"))).encode("utf-8", "surrogatepass"))
        if message.get("role") == "user":
            break
    return digest.hexdigest()
