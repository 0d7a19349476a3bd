"""What both drivers share: one step of a flow, and what an error of an attempt means."""

from __future__ import annotations

from dataclasses import dataclass

from hotspare._engine.call import Attempt
from hotspare._engine.commands import Command, Event, Flow
from hotspare.errors import AttemptTimeout, EmptyAnswer
from hotspare.messages import ChatChunk, ChatReply
from hotspare.outcome import OK, Outcome


@dataclass(slots=True)
class Ended:
    """The end of a flow: what it returned or raised."""

    reply: ChatReply | None = None
    error: Exception | None = None

    def result(self) -> ChatReply | None:
        """What the flow returned. Raises what it raised."""
        if self.error is not None:
            raise self.error
        return self.reply


def advance(flow: Flow, event: Event) -> Command | Ended:
    """The flow's next command, or its end. An end is a value: a coroutine must not let StopIteration through, and a task
    group would wrap an error."""
    try:
        return flow.send(event)
    except StopIteration as end:
        return Ended(end.value)
    except Exception as error:
        return Ended(error=error)


def is_first_content(chunk: ChatChunk) -> bool:
    """Whether this chunk ends an attempt: content, or a proven end without any."""
    return chunk.is_content or chunk.finish_reason is not None or chunk.finishing is not None


def outcome_of(error: Exception, attempt: Attempt) -> Outcome:
    """What an error means for its attempt. A continuation that proves that nothing is missing is an answer."""
    if attempt.is_continuation and isinstance(error, EmptyAnswer) and error.proven:
        attempt.result = ChatReply()
        return OK
    return attempt.state.classify(error)


def first_token_timeout(attempt: Attempt) -> AttemptTimeout:
    """The error of a stream whose first content is late."""
    return AttemptTimeout(f"no first token within {attempt.timeout:.1f} s")


def completion_timeout(attempt: Attempt) -> AttemptTimeout:
    """The error of a whole answer that is late."""
    return AttemptTimeout(f"no whole answer within {attempt.timeout:.1f} s")
