"""A target's key, read again for each attempt: keys rotate, and access tokens expire."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from hotspare._drivers.key_calls import KeyCalls
from hotspare._http.abort import CURRENT
from hotspare.errors import AttemptTimeout, NoKeyGiven
from hotspare.secret import (
    HiddenStr,
    KeyFunction,
    NoKey,
    SecretStr,
    checked_key,
    held_by,
    is_key_function,
    key_failure,
    may_wait,
    reveal,
    source_name,
)

if TYPE_CHECKING:
    from hotspare.target import Target


class TargetKey:
    """The current key of one target, for a backend that passes it on: the value of `api_key`, or the result of the object or function
    there. A function that is not async runs in a thread, because it may wait for a server; so does `get_secret_value` of an object,
    unless its class is hotspare's or pydantic's own."""

    def __init__(self, target: Target) -> None:
        self._target, source = target, target.api_key
        function = source if is_key_function(source) else partial(held_by, source) if may_wait(source) else None
        self._calls = None if function is None else KeyCalls(cast("KeyFunction", function), source_name(source))
        self._fixed: HiddenStr | None = None
        """The key, if the target itself has it: it cannot change."""

    def get(self, timeout: float) -> HiddenStr | None:
        """The key, hidden in tracebacks; None if the target has none. Raises KeyFunctionFailed if the function or the object raises,
        AttemptTimeout if it takes longer than the rest of the attempt (outside of an attempt: than `timeout` seconds),
        NoKeyGiven for a value that cannot be a key."""
        if self._calls is None:
            return self._held_by_target()
        handle = CURRENT.get()
        left = None if handle is None else handle.remaining()
        try:
            given = self._calls.get(timeout if left is None else left)
        except AttemptTimeout:
            raise
        except Exception as error:
            raise key_failure(self._target.name, self._target.api_key, error) from error
        return self._key_in(given)

    async def aget(self, timeout: float) -> HiddenStr | None:
        """The same in async code."""
        if self._calls is None:
            return self._held_by_target()
        try:
            given = await self._calls.aget(timeout)
        except AttemptTimeout:
            raise
        except Exception as error:
            raise key_failure(self._target.name, self._target.api_key, error) from error
        return self._key_in(given)

    def _held_by_target(self) -> HiddenStr | None:
        if self._fixed is not None:
            return self._fixed
        source = self._target.api_key
        key = self._key_in(held_by(source))
        if isinstance(source, str | SecretStr) and reveal(source):  # else the key is in the environment
            self._fixed = key
        return key

    def _key_in(self, held: object) -> HiddenStr | None:
        try:
            return checked_key(held, needed=is_key_function(self._target.api_key)) or None
        except NoKey as error:
            name, source = self._target.name, source_name(self._target.api_key)
            raise NoKeyGiven(f"target {name!r}: {source} {error}") from None
