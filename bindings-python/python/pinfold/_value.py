"""Owns: immutable values with fields, as ``dataclasses`` makes them, without what importing and running that costs.

Start at: ``value``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn, TypeVar

    from typing_extensions import dataclass_transform

    T = TypeVar("T")

    @dataclass_transform(frozen_default=True)
    def value(cls: type[T]) -> type[T]:
        """Makes a value of a class with annotated fields: it pickles, compares, hashes, prints, and never changes."""
        ...

else:

    def value(cls):
        """Makes a value of a class with annotated fields: it pickles, compares, hashes, prints, and never changes."""
        names = tuple(cls.__annotations__)
        defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
        gone = {*defaults, "__dict__", "__weakref__"}
        body = {name: thing for name, thing in cls.__dict__.items() if name not in gone}
        return type(cls.__name__, (_Value,), {**body, "__slots__": names, "__match_args__": names, "_defaults": defaults})


class _Value:
    __slots__ = ()
    __match_args__: tuple[str, ...] = ()
    _defaults: dict[str, Any] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        names = self.__match_args__
        given = dict(zip(names, args))
        twice = given.keys() & kwargs.keys()
        unknown = kwargs.keys() - {*names}
        given = {**self._defaults, **given, **kwargs}
        missing = [name for name in names if name not in given]
        if len(args) > len(names) or twice or unknown or missing:
            wrong = ", ".join([*twice, *unknown, *missing]) or f"{len(args)} values"
            raise TypeError(f"{type(self).__name__} has the fields {', '.join(names)}: {wrong}")
        for name in names:
            object.__setattr__(self, name, given[name])

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} never changes")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} never changes")

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__match_args__)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        fields = zip(self.__match_args__, self._values())
        return f"{type(self).__name__}({', '.join(f'{name}={thing!r}' for name, thing in fields)})"

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return type(self), self._values()
