"""A target's key, read again for each attempt: keys rotate, and access tokens expire."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from hotspare._drivers.key_calls import KeyCalls
from hotspare._http.abort import CURRENT
from hotspare.errors import AttemptTimeout, NoKeyGiven
from hotspare.secret import (
    HiddenStr,
    KeyFunction,
    NoKey,
    checked_key,
    held_by,
    is_key_function,
    key_failure,
    source_name,
)

if TYPE_CHECKING:
    from hotspare.target import Target


class TargetKey:
    """The current key of one target, for a backend that passes it on: the value of `api_key`, or the result of the object or function
    there. A function that is not async runs in a thread, because it may wait for a server."""

    def __init__(self, target: Target) -> None:
        self._target, source = target, target.api_key
        self._calls = KeyCalls(cast("KeyFunction", source)) if is_key_function(source) else None

    def get(self, timeout: float) -> HiddenStr | None:
        """The key, hidden in tracebacks; None if the target has none. Raises KeyFunctionFailed if the function or the object raises,
        AttemptTimeout if the function takes longer than the rest of the attempt (outside of an attempt: than `timeout` seconds),
        NoKeyGiven for a value that cannot be a key."""
        if self._calls is None:
            return self._read(self._target.api_key)
        handle = CURRENT.get()
        left = None if handle is None else handle.remaining()
        try:
            given = self._calls.get(timeout if left is None else left)
        except AttemptTimeout:
            raise
        except Exception as error:
            raise key_failure(self._target.name, self._target.api_key, error) from error
        return self._read(given)

    async def aget(self, timeout: float) -> HiddenStr | None:
        """The same in async code."""
        if self._calls is None:
            return self._read(self._target.api_key)
        try:
            given = await self._calls.aget(timeout)
        except AttemptTimeout:
            raise
        except Exception as error:
            raise key_failure(self._target.name, self._target.api_key, error) from error
        return self._read(given)

    def _read(self, given: object) -> HiddenStr | None:
        try:
            held = held_by(given)
        except Exception as error:
            raise key_failure(self._target.name, self._target.api_key, error) from error
        return self._key_in(held)

    def _key_in(self, held: object) -> HiddenStr | None:
        try:
            return checked_key(held, needed=self._calls is not None) or None
        except NoKey as error:
            name, source = self._target.name, source_name(self._target.api_key)
            raise NoKeyGiven(f"target {name!r}: {source} {error}") from None
