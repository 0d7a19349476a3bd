"""Every error hotspare raises, as one tree.

::

    HotspareError
    ├── ConfigError (ValueError)      a pool that cannot be built as written
    ├── RequestError (ValueError)     a request that no target could take as written
    ├── MissingExtra (ImportError)    an optional dependency is not installed
    ├── PoolClosed                    the pool was used after close()
    ├── CallError                     the call was made, and nobody answered it
    │   ├── AllTargetsFailed          every attempt is inside, in `.attempts`
    │   └── StreamInterrupted         a stream broke after its first content; `.text` is what came
    └── BackendError                  one attempt failed (seen by `classify`, listed in `.attempts`)
        ├── StatusError               an HTTP status that is not a success
        ├── InBandError               an error inside a 200: a body, or an event of a stream
        ├── MalformedAnswer           HTML, half a JSON, a shape that is not the wire's
        ├── EmptyAnswer               a complete answer with nothing in it
        ├── IncompleteAnswer          it ended without the wire's own proof of completion
        ├── AttemptTimeout            no first token, a stall, or no whole answer in its time
        └── BodyTooLarge              more bytes than any answer has
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hotspare.outcome import AttemptRecord


class HotspareError(Exception):
    """Base of everything hotspare raises."""


class Problem(str):
    """One mistake: where it stands, what stands there, and the way out, as one line."""

    __slots__ = ()

    @classmethod
    def at(cls, place: str, value: object, way_out: str) -> Problem:
        """Name the field, the value (shortened) and what to write instead."""
        shown = repr(value)
        return cls(f"{place}: {shown if len(shown) <= 80 else shown[:77] + '...'} {way_out}")

    def moved(self, before: str, after: str) -> Problem:
        """Found inside a `before`, placed in `after`: ``target.id: …`` becomes ``targets[2].id: …``."""
        if self.startswith((f"{before}.", f"{before}:")):
            rest = self.removeprefix(before)
            return Problem(after + rest if after else rest.removeprefix("."))
        return Problem(f"{after}: {self}" if after else self)


def did_you_mean(word: str, known: Sequence[str], otherwise: str = "") -> str:
    """The way out of a misspelt name: the nearest known one, else `otherwise`."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else otherwise


class _Problems(HotspareError, ValueError):
    """Carries every mistake found, not only the first."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class ConfigError(_Problems):
    """A pool that cannot be built as written. `.problems` lists every mistake, each with its place."""


class RequestError(_Problems):
    """A request that no target could take as written. Raised before any network call."""


class MissingExtra(HotspareError, ImportError):
    """An optional dependency is missing; the message holds the command that installs it."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional dependency: pip install 'hotspare[{extra}]'")


class PoolClosed(HotspareError):
    """The pool was used after `close()`."""


class CallError(HotspareError):
    """The call was made, and nobody answered it. `.attempts` lists what was tried, in order."""

    def __init__(self, message: str, attempts: Sequence[AttemptRecord] = ()) -> None:
        self.attempts = tuple(attempts)
        super().__init__(message)


class AllTargetsFailed(CallError):
    """Every target that was asked failed, or none could be asked.

    `.attempts` holds target, kind, status, seconds and the provider's own words for each attempt;
    `.skipped` maps the targets that were not asked to the reason;
    `.retry_after` is when to come back, in seconds from the raise (None: unknown).
    """

    def __init__(
        self,
        message: str,
        attempts: Sequence[AttemptRecord] = (),
        *,
        skipped: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.skipped = dict(skipped or {})
        self.retry_after = retry_after
        lines = [message]
        lines += [f"  {a.number}. {a}" for a in attempts]
        lines += [f"  -  {name}: not asked, {why}" for name, why in self.skipped.items()]
        if retry_after is not None:
            lines.append(f"  come back in {retry_after:.1f} s")
        super().__init__("\n".join(lines), attempts)


class StreamInterrupted(CallError):
    """A stream broke after its first content was handed out. `.text` is the text handed out so far."""

    def __init__(self, message: str, attempts: Sequence[AttemptRecord] = (), *, text: str = "") -> None:
        self.text = text
        super().__init__(message, attempts)


class BackendError(HotspareError):
    """One attempt at one target failed. `.body` holds at most the first 64 KiB of what came."""

    status: int | None = None
    headers: Mapping[str, str] = {}
    body: bytes = b""

    def __init__(
        self, message: str, *, status: int | None = None, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> None:
        self.status = status
        self.headers = headers or {}
        self.body = body[:65536]
        super().__init__(message)


class StatusError(BackendError):
    """An HTTP status that is not a success."""


class InBandError(BackendError):
    """An error inside a 200: in the body, or as an event of a stream. `.body` is that error's JSON."""


class MalformedAnswer(BackendError):
    """HTML, half a JSON, or a shape that is not the wire's."""


class EmptyAnswer(BackendError):
    """An answer with no text, no tool call and no reason for it.

    `proven`: the wire's own proof of a regular completion was there. To a request that asks for the rest of a broken
    answer, that says that nothing was missing.
    """

    def __init__(self, message: str, *, proven: bool = False, body: bytes = b"") -> None:
        self.proven = proven
        super().__init__(message, body=body)


class IncompleteAnswer(BackendError):
    """The answer ended without the wire's own proof of completion."""


class AttemptTimeout(BackendError):
    """No first token, a stall, or no whole answer in the time this attempt had."""


class BodyTooLarge(BackendError):
    """More bytes than any answer has; reading was stopped."""
