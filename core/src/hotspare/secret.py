"""A string that does not show itself."""

from __future__ import annotations


class SecretStr:
    """Holds a key. `str`, `repr`, logs and pickles show stars; `get_secret_value()` gives it.

    Anything else with a `get_secret_value` method (pydantic's `SecretStr`) is taken wherever this is.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        """The key itself."""
        return self._value

    def __repr__(self) -> str:
        return "SecretStr('**********')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretStr) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[type, tuple[str]]:
        raise TypeError("a SecretStr is not pickled: pass the name of an environment variable instead")
