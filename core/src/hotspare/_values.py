"""Frozen dataclasses that a call makes for each answer and each chunk, at a sixth of what making and copying them costs else."""

from __future__ import annotations

from functools import wraps
from typing import Any, TypeVar

_Value = TypeVar("_Value")


def sparse(cls: type[_Value]) -> type[_Value]:
    """Have a frozen dataclass keep only the fields that it is given; the others are read from the class, where their defaults are.

    For dataclasses without slots, whose fields are keywords with plain defaults. A stream makes a chunk of one field for each
    token, where the `__init__` that `dataclasses` writes would set fourteen.
    """
    names = frozenset(cls.__dataclass_fields__)  # type: ignore[attr-defined]

    @wraps(cls.__init__)
    def keep(self: object, **fields: Any) -> None:
        if not names.issuperset(fields):
            raise TypeError(f"{cls.__name__}: unexpected {', '.join(sorted(fields.keys() - names))}")
        self.__dict__.update(fields)

    cls.__init__ = keep  # type: ignore[method-assign]
    return cls


def made(cls: type[_Value], /, **fields: Any) -> _Value:
    """`cls(**fields)`, of a frozen dataclass without slots. Neither the names nor their completeness are checked; what has no plain default
    must be among them."""
    value = object.__new__(cls)
    object.__setattr__(value, "__dict__", fields)  # not copied: it belongs to this call alone
    return value


def changed(value: _Value, **fields: Any) -> _Value:
    """A copy with other values in some fields, as `dataclasses.replace` makes it, of such a dataclass. The names are not checked."""
    copy = object.__new__(type(value))
    object.__setattr__(copy, "__dict__", value.__dict__ | fields)
    return copy
