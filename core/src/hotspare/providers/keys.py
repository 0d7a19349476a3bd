"""A target's key, asked for at each attempt: keys rotate, and access tokens expire."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Awaitable, Mapping
from concurrent.futures import Future
from contextvars import copy_context
from threading import Thread
from typing import TYPE_CHECKING, cast

from hotspare.errors import AttemptTimeout, BackendError, ConfigError, StatusError, TransportError
from hotspare.providers.presets import NOT_ASKED
from hotspare.secret import HiddenStr, KeyFunction, Redactor, is_key_function

if TYPE_CHECKING:
    from hotspare.providers.presets import Preset
    from hotspare.target import Target

_REMEMBERED = 8
"""Keys of one target that are struck out of what comes back: the current one, and those before it that a late answer repeats."""


class KeyFunctionFailed(TransportError):
    """The function that gives a target's key raised. It says nothing about the provider or its region."""


class NoKeyGiven(BackendError):
    """The function returned, but no key. No provider has refused anything: the target rests for a moment, not for 300 s."""


def ask_key(function: KeyFunction, timeout: float) -> object:
    """What the function gives, in sync code. It runs in a thread of its own, so that one that hangs holds up its caller for
    `timeout` seconds at most; an async one in an event loop there. Raises AttemptTimeout."""
    given: Future[object] = Future()
    thread = Thread(target=copy_context().run, args=(_answer, function, given), name="hotspare-key", daemon=True)
    thread.start()
    try:
        return given.result(timeout)
    except TimeoutError:
        if given.done():  # the function's own
            raise
        raise AttemptTimeout("the function of api_key gave no key in time") from None


def _answer(function: KeyFunction, answer: Future[object]) -> None:
    try:
        given: object = function()
        if inspect.isawaitable(given):
            import asyncio

            given = asyncio.run(_result_of(given))
        answer.set_result(given)
    except BaseException as error:
        answer.set_exception(error)


async def aask_key(function: KeyFunction) -> object:
    """The same in async code. A function that is not async runs in a thread: it may wait for a server."""
    import anyio.to_thread

    is_async = inspect.iscoroutinefunction(function)
    given = function() if is_async else await anyio.to_thread.run_sync(function, abandon_on_cancel=True)
    return await given if inspect.isawaitable(given) else given


async def _result_of(given: Awaitable[object]) -> object:
    return await given


class Keys:
    """The current key of one target: its own, that of its function, or that of the provider's environment variable.

    Raises ConfigError at once for a missing or impossible key, unless a function gives it.
    """

    def __init__(self, target: Target, preset: Preset, env: Mapping[str, str] | None = None) -> None:
        self._target, self._preset, self._env = target, preset, env
        self._asks = is_key_function(target.api_key)
        self._known: deque[HiddenStr] = deque(maxlen=_REMEMBERED)
        self.redactor = Redactor()
        """Strikes out the keys that came after the first one, which the pool strikes out."""
        self._key = None if self._asks else preset.key_of(target, env)

    def get(self, timeout: float) -> HiddenStr | None:
        """The key for an attempt. Raises KeyFunctionFailed if the function raises, AttemptTimeout if it takes longer than
        `timeout` seconds, NoKeyGiven if what it gives cannot be a key,
        StatusError (401) if what stands in the environment now cannot."""
        if not self._asks:
            return self._checked(NOT_ASKED)
        try:
            given = ask_key(cast("KeyFunction", self._target.api_key), timeout)
        except AttemptTimeout:
            raise
        except Exception as error:
            raise self._failed(error) from error
        return self._checked(given)

    async def aget(self) -> HiddenStr | None:
        """The same in async code, which a function that is not async does not hold up: it runs in a thread."""
        if not self._asks:
            return self._checked(NOT_ASKED)
        try:
            given = await aask_key(cast("KeyFunction", self._target.api_key))
        except Exception as error:
            raise self._failed(error) from error
        return self._checked(given)

    def _failed(self, error: Exception) -> BackendError:
        return KeyFunctionFailed(
            f"the key of {self._target.name!r} could not be obtained: {type(error).__name__}: {error}"
        )

    def _checked(self, given: object) -> HiddenStr | None:
        try:
            key = self._preset.key_of(self._target, self._env, asked=given)
        except ConfigError as error:
            raise (NoKeyGiven(str(error)) if self._asks else StatusError(str(error), status=401)) from None
        except Exception as error:  # of an object that holds a key
            raise self._failed(error) from error
        if key != self._key:
            self._key = key
            if key is not None:
                self._known.append(key)
                self.redactor = Redactor(self._known)
        return key
