"""The one way in which parts are added: built-ins and plugins register under a name, each for one extension point."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """The parts of one extension point by name; `what` is what people call such a part.

    A plugin is a Django app that registers in its AppConfig.ready().
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._parts: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers a part; raises ValueError where the name is taken by another."""

        def add(part: T) -> T:
            if self._parts.setdefault(name, part) is not part:
                raise ValueError(f"there is a {self.what} {name!r} already")
            return part

        return add

    def get(self, name: str) -> T:
        """Return a part; raises LookupError with a sentence that says which there are."""
        try:
            return self._parts[name]
        except KeyError:
            raise LookupError(f"there is no {self.what} {name!r}, only {', '.join(self)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._parts))

    def __contains__(self, name: object) -> bool:
        return name in self._parts
