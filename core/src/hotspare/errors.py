"""Every error hotspare raises, as one tree. Each has `docs`, the address of the page that says what to do about it.

::

    HotspareError
    ├── ConfigError (ValueError)      a pool or target with wrong settings
    ├── RequestError (ValueError)     a request that no target could take as written
    ├── MissingExtra (ImportError)    an optional dependency is not installed
    ├── RecordingError (ValueError)   a recording that cannot be read or replayed
    ├── PoolClosed                    the pool was used after close()
    ├── CallError                     the call was made and failed
    │   ├── AllTargetsFailed          no target answered; `.attempts` lists every attempt
    │   │   └── LimitExceeded         the limits of the targets admit the call too late for its deadline
    │   ├── BudgetExceeded            a budget is used up; `.retry_after` says until when
    │   └── StreamInterrupted         a stream broke after its first content; `.text` is the text so far
    └── BackendError                  one attempt failed (input of `classify`, listed in `.attempts`)
        ├── StatusError               an HTTP status that is not a success
        ├── InBandError               an error inside a 200: in the body, or as an event of a stream
        ├── MalformedAnswer           HTML, truncated JSON, or JSON of an unexpected shape
        ├── EmptyAnswer               a complete answer without content
        ├── IncompleteAnswer          the response ended without proof of completion
        ├── TransportError            the connection broke, or the data received is not HTTP
        │   ├── ConnectError          no connection: DNS, refused, TLS, a proxy, or no answer within 5 s
        │   └── KeyFunctionFailed     the function that returns a target's key raised an error
        ├── AnswerRejected            a complete answer that the caller's `accept` rejected
        ├── AttemptTimeout            no first token, a stall, or no whole answer in time
        ├── BodyTooLarge              the response exceeds the size limit
        └── NoKeyGiven                the function of `api_key` returned no valid key
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hotspare.outcome import AttemptRecord


_GUIDES = "https://github.com/hotspare/hotspare/blob/main/docs/troubleshooting/"
_GUIDE_OF_KIND: Mapping[str, str] = {
    "server": "overload.md",
    "transport": "connections.md",
    "timeout": "timeouts.md",
    "rate_limited": "rate-limits.md",
    "quota": "rate-limits.md",
    "auth": "keys.md",
    "not_found": "models.md",
    "context_length": "context-length.md",
    "content_filter": "content-filter.md",
    "rejected": "broken-answers.md",
    "invalid": "invalid-requests.md",
}
"""Which page explains a failed attempt, by its kind."""


class HotspareError(Exception):
    """Base of everything hotspare raises. Errors can be pickled and copied; they keep their attributes.

    `docs`: the URL of the page that explains the error, what hotspare does automatically, and what you can do.
    """

    docs: str = _GUIDES + "index.md"

    def __reduce__(self) -> tuple[Any, ...]:
        # The copy is not made by calling the class: its parameters differ from `args`.
        return _restored, (type(self), self.args, self.__dict__)


def _restored(cls: type[HotspareError], args: tuple[Any, ...], attributes: Mapping[str, Any]) -> HotspareError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class Problem(str):
    """One mistake as one line: the path of the field, its value, and a hint how to fix it."""

    __slots__ = ()

    @classmethod
    def at(cls, path: str, value: object, hint: str) -> Problem:
        """``path: value hint``; a long value is shortened to 80 characters."""
        return cls(f"{path}: {_shown(value)} {hint}")

    def replace_prefix(self, old: str, new: str) -> Problem:
        """The same problem under another path: ``target.id: …`` becomes ``targets[2].id: …``.

        `new` is put in front of a path that does not begin with `old`.
        """
        if self.startswith((f"{old}.", f"{old}:")):
            rest = self.removeprefix(old)
            return Problem(new + rest if new else rest.removeprefix("."))
        return Problem(f"{new}: {self}" if new else self)


def _shown(value: object) -> str:
    """The repr of a value of any kind, at most 80 characters."""
    try:
        shown = repr(value)
    except Exception:  # integers of over 4,300 digits, nesting too deep for repr, a class's own repr
        shown = f"<{type(value).__name__}>"
    return shown if len(shown) <= 80 else shown[:77] + "..."


def did_you_mean(word: str, known: Sequence[str], otherwise: str = "") -> str:
    """A hint for a misspelt name: the nearest known one, else `otherwise`."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else otherwise


class _Problems(HotspareError, ValueError):
    """Lists every mistake found, not only the first, in `.problems`."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class ConfigError(_Problems):
    """Wrong settings of a pool or a target. `.problems` lists every mistake, each with the path of its field.

    `source`: the config file that holds them; `str()` puts it before each.
    """

    docs = _GUIDES + "setup.md"

    source: str = ""

    def __str__(self) -> str:
        prefix = f"{self.source}: " if self.source else ""
        return "\n".join(line if line.startswith(prefix) else prefix + line for line in self.problems)


class RequestError(_Problems):
    """A request that no target could take as written. Raised before any network call; `.problems` lists every mistake."""

    docs = _GUIDES + "invalid-requests.md"


class MissingExtra(HotspareError, ImportError):
    """An optional dependency is missing; the message holds the command that installs it."""

    docs = _GUIDES + "setup.md"

    def __init__(self, feature: str, extra: str) -> None:
        self.feature, self.extra = feature, extra
        super().__init__(f"{feature} needs an optional dependency: pip install 'hotspare[{extra}]'")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.feature, self.extra), self.__dict__


class RecordingError(HotspareError, ValueError):
    """A recording that cannot be read: the file is missing, damaged, not a recording, or of another version."""

    docs = _GUIDES + "setup.md"


class PoolClosed(HotspareError):
    """The pool was used after `close()`."""

    docs = _GUIDES + "setup.md"


class CallError(HotspareError):
    """The call was made and failed. `.attempts` lists every attempt, in order."""

    def __init__(self, message: str, attempts: Sequence[AttemptRecord] = ()) -> None:
        self.attempts = tuple(attempts)
        super().__init__(message)


_MAX_SKIPPED = 12
"""Most targets that an error's text lists as not tried: a large pool has hundreds."""


class AllTargetsFailed(CallError):
    """No target answered: every attempt failed, or no target was available.

    `.attempts`: target, kind, status, seconds and the provider's own message of each attempt.
    `.skipped`: the targets that were not tried, with the reason.
    `.retry_after`: seconds from now until a call may succeed (None: unknown).
    `.docs`: the page about the kind of the last attempt.
    """

    docs = _GUIDES + "all-targets-failed.md"

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
        if attempts:
            from hotspare.outcome import attempt_lines

            lines += [f"  {line}" for line in attempt_lines(attempts)]
        others = list(self.skipped.items())
        lines += [f"  -  {name}: not tried, {reason}" for name, reason in others[:_MAX_SKIPPED]]
        if len(others) > _MAX_SKIPPED:
            lines.append(f"  -  … and {len(others) - _MAX_SKIPPED} more targets: see `skipped`")
        if retry_after is not None:
            lines.append(f"  retry after {retry_after:.1f} s")
        super().__init__("\n".join(lines), attempts)
        if attempts:
            self.docs = _GUIDES + _GUIDE_OF_KIND.get(attempts[-1].kind, "all-targets-failed.md")


class LimitExceeded(AllTargetsFailed):
    """The targets that could answer have reached their limits, and admit the call too late for its deadline.

    `.retry_after`: seconds from now until the earliest of them would admit it.
    """

    docs = _GUIDES + "rate-limits.md"


class BudgetExceeded(CallError):
    """A budget is used up, and the call was not made. `.budget`: which one. `.retry_after`: seconds until its next period."""

    docs = _GUIDES + "billing.md"

    def __init__(self, message: str, *, budget: str = "", retry_after: float = 0.0) -> None:
        self.budget, self.retry_after = budget, retry_after
        super().__init__(message)


class StreamInterrupted(CallError):
    """A stream broke after its first content was delivered. `.text` is the text delivered so far."""

    docs = _GUIDES + "cut-streams.md"

    def __init__(self, message: str, attempts: Sequence[AttemptRecord] = (), *, text: str = "") -> None:
        self.text = text
        super().__init__(message, attempts)


class BackendError(HotspareError):
    """One attempt at one target failed. `.body` holds the first 64 KiB of the response."""

    docs = _GUIDES + "all-targets-failed.md"

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

    docs = _GUIDES + "overload.md"


class InBandError(BackendError):
    """An error inside a 200: in the body, or as an event of a stream. `.body` holds the error's JSON.

    `.code`: `content_filter` or `context_length_exceeded`, if that is what the error means and its body has no code.
    """

    docs = _GUIDES + "overload.md"

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        self.code = code
        super().__init__(message, status=status, headers=headers, body=body)


class MalformedAnswer(BackendError):
    """HTML, truncated JSON, or JSON of an unexpected shape."""

    docs = _GUIDES + "broken-answers.md"


class AnswerRejected(BackendError):
    """A complete answer that `accept` rejected."""

    docs = _GUIDES + "broken-answers.md"


class EmptyAnswer(BackendError):
    """An answer without text, tool call or refusal, and without a reason that explains it.

    `proven`: whether the response had the wire format's proof of completion. `output_tokens`: how many the provider reports for it,
    without reasoning; 0 if it reports none. An empty continuation with proof, and with no more tokens than an end takes, means that
    nothing was missing.
    """

    docs = _GUIDES + "broken-answers.md"

    def __init__(self, message: str, *, proven: bool = False, output_tokens: int = 0, body: bytes = b"") -> None:
        self.proven, self.output_tokens = proven, output_tokens
        super().__init__(message, body=body)


class IncompleteAnswer(BackendError):
    """The response ended without the wire format's proof of completion."""

    docs = _GUIDES + "broken-answers.md"


class TransportError(BackendError):
    """The connection broke, or the data received is not HTTP."""

    docs = _GUIDES + "connections.md"


class ConnectError(TransportError):
    """No connection could be made: name resolution, a refused connection, TLS, a proxy, or no answer within the connect timeout."""


class AttemptTimeout(BackendError):
    """No first token, no further content (a stall), or no whole answer within this attempt's time."""

    docs = _GUIDES + "timeouts.md"


class BodyTooLarge(BackendError):
    """The response exceeds the size limit; reading was stopped."""

    docs = _GUIDES + "broken-answers.md"


class KeyFunctionFailed(TransportError):
    """The function that returns a target's key raised an error. This is no evidence about the provider or its region."""

    docs = _GUIDES + "keys.md"


class NoKeyGiven(BackendError):
    """The function returned no valid key. No provider has rejected a key, so the breaker opens for a short break, not for
    `Breaker.auth_break_duration`."""

    docs = _GUIDES + "keys.md"
