"""The key of a target of a preset: its own, or that of the provider's environment variable."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hotspare.errors import ConfigError, NoKeyGiven, StatusError
from hotspare.keys import TargetKey
from hotspare.providers.presets import UNRESOLVED
from hotspare.secret import HiddenStr, Redactor

if TYPE_CHECKING:
    from hotspare.providers.presets import Preset
    from hotspare.target import Target

_REMEMBERED = 8
"""Maximum number of a target's keys that are removed from responses: the current one, and earlier ones, for late responses."""


class Keys(TargetKey):
    """The current key of one target: its own, the result of its function, or the value of the provider's environment variable.

    A value that cannot be a key raises StatusError (401) if it is the variable's, else NoKeyGiven.

    Raises ConfigError when it is created, for a missing or invalid key, unless a function returns the key.
    """

    def __init__(self, target: Target, preset: Preset, env: Mapping[str, str] | None = None) -> None:
        super().__init__(target)
        self._preset, self._env = preset, env
        self._known: deque[HiddenStr] = deque(maxlen=_REMEMBERED)
        self.redactor = Redactor()
        """Removes the keys after the first one, which the pool itself removes."""
        self._key = preset.key_of(target, env)

    def _key_in(self, held: object) -> HiddenStr | None:
        of_variable = self._target.api_key is None
        try:
            key = self._preset.key_of(self._target, self._env, resolved=UNRESOLVED if of_variable else held)
        except ConfigError as error:
            raise (StatusError(str(error), status=401) if of_variable else NoKeyGiven(str(error))) from None
        if key != self._key:
            self._key = key
            if key is not None:
                self._known.append(key)
                self.redactor = Redactor(self._known)
        return key
