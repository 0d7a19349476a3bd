"""A target's key, asked for at each attempt: keys rotate, and access tokens expire."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from hotspare._http.abort import CURRENT
from hotspare.errors import AttemptTimeout, ConfigError, KeyFunctionFailed, NoKeyGiven, StatusError
from hotspare.providers.key_calls import KeyCalls
from hotspare.providers.presets import NOT_ASKED
from hotspare.secret import HiddenStr, KeyFunction, Redactor, held_by, is_key_function, key_failure

if TYPE_CHECKING:
    from hotspare.providers.presets import Preset
    from hotspare.target import Target

_REMEMBERED = 8
"""Keys of one target that are struck out of what comes back: the current one, and those before it that a late answer repeats."""


class Keys:
    """The current key of one target: its own, that of its function, or that of the provider's environment variable.

    Raises ConfigError at once for a missing or impossible key, unless a function gives it.
    """

    def __init__(self, target: Target, preset: Preset, env: Mapping[str, str] | None = None) -> None:
        self._target, self._preset, self._env = target, preset, env
        source = target.api_key
        self._calls = KeyCalls(cast("KeyFunction", source)) if is_key_function(source) else None
        self._known: deque[HiddenStr] = deque(maxlen=_REMEMBERED)
        self.redactor = Redactor()
        """Strikes out the keys that came after the first one, which the pool strikes out."""
        self._key = preset.key_of(target, env)

    def get(self, timeout: float) -> HiddenStr | None:
        """The key for an attempt. Raises KeyFunctionFailed if the function, or the object that holds the key, raises,
        AttemptTimeout if the function takes longer than what is left of the attempt (without one: of `timeout` seconds),
        NoKeyGiven for what cannot be a key, StatusError (401) if what stands in the environment now cannot."""
        if self._calls is None:
            return self._checked(self._held())
        handle = CURRENT.get()
        left = None if handle is None else handle.remaining()
        try:
            given = self._calls.get(timeout if left is None else left)
        except AttemptTimeout:
            raise
        except Exception as error:
            raise self._failed(error) from error
        return self._checked(given)

    async def aget(self, timeout: float) -> HiddenStr | None:
        """The same in async code, which a function that is not async does not hold up."""
        if self._calls is None:
            return self._checked(self._held())
        try:
            given = await self._calls.aget(timeout)
        except AttemptTimeout:
            raise
        except Exception as error:
            raise self._failed(error) from error
        return self._checked(given)

    def _held(self) -> object:
        source = self._target.api_key
        try:
            return NOT_ASKED if source is None else held_by(source)
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> KeyFunctionFailed:
        return key_failure(self._target.name, self._target.api_key, error)

    def _checked(self, given: object) -> HiddenStr | None:
        try:
            key = self._preset.key_of(self._target, self._env, asked=held_by(given))
        except ConfigError as error:
            of_variable = self._target.api_key is None
            raise (StatusError(str(error), status=401) if of_variable else NoKeyGiven(str(error))) from None
        except Exception as error:  # of an object that holds a key
            raise self._failed(error) from error
        if key != self._key:
            self._key = key
            if key is not None:
                self._known.append(key)
                self.redactor = Redactor(self._known)
        return key
