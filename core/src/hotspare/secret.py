"""SecretStr: a string that logs, repr and pickles do not show."""

from __future__ import annotations

from typing import Protocol


class Secret(Protocol):
    """Any object that holds a key: hotspare's `SecretStr`, pydantic's, your own."""

    def get_secret_value(self) -> str:
        """The key itself."""
        ...


class SecretStr:
    """Holds a key. `str` and `repr` show asterisks, pickling raises TypeError; `get_secret_value()` returns the key.

    Any object with a `get_secret_value` method (pydantic's `SecretStr`, for one) is accepted in its place.
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
        raise TypeError("a SecretStr cannot be pickled: pass the name of an environment variable instead")
