"""A target's key, asked for at each attempt: keys rotate, and access tokens expire."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Awaitable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

from hotspare.errors import BackendError, ConfigError, StatusError, TransportError
from hotspare.secret import HiddenStr, KeyFunction, Redactor, Secret, is_key_function, reveal

if TYPE_CHECKING:
    from hotspare.providers.presets import Preset
    from hotspare.target import Target

_REMEMBERED = 8
"""Keys of one target that are struck out of what comes back: the current one, and those before it that a late answer repeats."""


def ask_key(source: Secret | str | KeyFunction | None) -> HiddenStr:
    """The current key, in sync code. An async function is run in an event loop of its own, in a thread."""
    if not is_key_function(source):
        return reveal(cast("Secret | str | None", source))
    given = cast("KeyFunction", source)()
    if inspect.isawaitable(given):
        import asyncio

        with ThreadPoolExecutor(1) as thread:
            given = thread.submit(asyncio.run, _result_of(given)).result()
    return reveal(given)


async def aask_key(source: Secret | str | KeyFunction | None) -> HiddenStr:
    """The same in async code. A function that is not async runs in a thread: it may wait for a server."""
    if not is_key_function(source):
        return reveal(cast("Secret | str | None", source))
    import anyio.to_thread

    ask = cast("KeyFunction", source)
    is_async = inspect.iscoroutinefunction(ask)
    given = ask() if is_async else await anyio.to_thread.run_sync(ask, abandon_on_cancel=True)
    return reveal(await given if inspect.isawaitable(given) else given)


async def _result_of(given: Awaitable[str | Secret]) -> str | Secret:
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

    def get(self) -> HiddenStr | None:
        """The key for an attempt. Raises TransportError if the function fails, StatusError (401) if what it gives, or what
        stands in the environment now, cannot be a key."""
        try:
            return self._checked(ask_key(self._target.api_key) if self._asks else "")
        except BackendError:
            raise
        except Exception as error:
            raise self._failed(error) from error

    async def aget(self) -> HiddenStr | None:
        """The same in async code, which a function that is not async does not hold up: it runs in a thread."""
        if not self._asks:
            return self.get()
        try:
            return self._checked(await aask_key(self._target.api_key))
        except BackendError:
            raise
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> BackendError:
        return TransportError(
            f"the key of {self._target.name!r} could not be obtained: {type(error).__name__}: {error}"
        )

    def _checked(self, asked: str) -> HiddenStr | None:
        try:
            key = self._preset.key_of(self._target, self._env, asked=asked if self._asks else None)
        except ConfigError as error:
            raise StatusError(str(error), status=401) from error
        if key != self._key:
            self._key = key
            if key is not None:
                self._known.append(key)
                self.redactor = Redactor(self._known)
        return key
