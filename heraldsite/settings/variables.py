"""Reading variables of the environment; what is no answer to the question is refused in words.

A variable that is set to nothing counts as not set: a file of variables may list all of them.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence

from django.core.exceptions import ImproperlyConfigured

YES_OR_NO = {"on": True, "yes": True, "true": True, "1": True, "off": False, "no": False, "false": False, "0": False}


class Variables:
    """The variables of one environment. Every method raises ImproperlyConfigured naming the variable."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def str(self, name: str, *, default: str) -> str:
        return self._environment.get(name, "").strip() or default

    def choice(self, name: builtins.str, *, default: builtins.str, among: Sequence[builtins.str]) -> builtins.str:
        """One of a few words, whatever its case."""
        text = self.str(name, default=default).upper()
        if text not in among:
            raise ImproperlyConfigured(f"{name} is {text!r}; it must be one of {', '.join(among)}")
        return text

    def int(self, name: builtins.str, *, default: int, least: int = 0, most: int | None = None) -> int:
        """A whole number from `least` to `most`."""
        text = self.str(name, default=builtins.str(default))
        try:
            number = builtins.int(text)
        except ValueError:
            raise ImproperlyConfigured(f"{name} is {text!r}; it must be a whole number") from None
        self._refuse_outside(name, number, least, most)
        return number

    def float(self, name: builtins.str, *, default: float, least: float = 0, most: float | None = None) -> float:
        """A number from `least` to `most`; infinity and NaN are none."""
        text = self.str(name, default=builtins.str(default))
        try:
            number = builtins.float(text)
        except ValueError:
            raise ImproperlyConfigured(f"{name} is {text!r}; it must be a number such as 2.5") from None
        self._refuse_outside(name, number, least, most)
        return number

    def _refuse_outside(
        self, name: builtins.str, number: builtins.float, least: builtins.float, most: builtins.float | None
    ) -> None:
        # Asked this way round because no comparison with NaN is true.
        if not (least <= number and (number <= most if most is not None else number < builtins.float("inf"))):
            bounds = f"at least {least}" if most is None else f"from {least} to {most}"
            raise ImproperlyConfigured(f"{name} is {number}; it must be {bounds}")

    def bool(self, name: builtins.str, *, default: bool) -> bool:
        """on or off (also yes, no, true, false, 1, 0)."""
        text = self.str(name, default="on" if default else "off").lower()
        if text not in YES_OR_NO:
            raise ImproperlyConfigured(f"{name} is {text!r}; it must be on or off")
        return YES_OR_NO[text]

    def list(self, name: builtins.str, *, default: Sequence[builtins.str]) -> list[builtins.str]:
        """Texts separated by commas; spaces around them do not count."""
        parts = [part.strip() for part in self.str(name, default="").split(",")]
        return [part for part in parts if part] or [*default]
