"""Code shared by both drivers: one step of a flow, and the outcome of an attempt's error."""

from __future__ import annotations

from dataclasses import dataclass

from hotspare._drivers.stray import STRAY, failure
from hotspare._engine.call import Attempt
from hotspare._engine.commands import Command, Event, Flow
from hotspare.errors import AttemptTimeout, EmptyAnswer
from hotspare.messages import ChatChunk, ChatReply, Usage
from hotspare.outcome import OK, Outcome


@dataclass(slots=True)
class Ended:
    """The end of a flow: its result or its exception."""

    reply: ChatReply | None = None
    error: Exception | None = None

    def result(self) -> ChatReply | None:
        """The flow's result. Raises the flow's exception."""
        if self.error is not None:
            raise self.error
        return self.reply


def advance(flow: Flow, event: Event) -> Command | Ended:
    """The flow's next command, or its end. The end is returned as a value, because a coroutine must not raise StopIteration, and a
    task group would wrap an exception."""
    try:
        return flow.send(event)
    except StopIteration as end:
        return Ended(end.value)
    except STRAY as error:  # of a function that the flow calls: `accept`, a strategy, a policy's `stop`
        return Ended(error=failure(error))
    except Exception as error:
        return Ended(error=error)


def is_first_content(chunk: ChatChunk) -> bool:
    """Whether this chunk completes an attempt: content, or the finish reason of an empty answer."""
    return chunk.is_content or chunk.finish_reason is not None or chunk.finishing is not None


def outcome_of(error: BaseException, attempt: Attempt) -> Outcome:
    """The outcome of an attempt that raised `error`. An empty continuation with a finish reason is an answer: the engine decides
    whether its text was lost or nothing was missing (`lost_in`)."""
    if attempt.is_continuation and isinstance(error, EmptyAnswer) and error.proven:
        attempt.result = ChatReply(usage=Usage(output_tokens=error.output_tokens))
        return OK
    return attempt.state.classify(error if isinstance(error, Exception) else failure(error))


def first_token_timeout(attempt: Attempt) -> AttemptTimeout:
    """The error of a stream whose first content is late."""
    return AttemptTimeout(f"no first token within {attempt.timeout:.1f} s")


def completion_timeout(attempt: Attempt) -> AttemptTimeout:
    """The error of a whole answer that is late."""
    return AttemptTimeout(f"no whole answer within {attempt.timeout:.1f} s")
