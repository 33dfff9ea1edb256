"""Benchmarks: ratios measured side by side in one run, printed as JSON lines.

A file `<area>_<what>.py` in this folder has a function `measure()` that yields Results whose names begin with
`<area>.`. `python -m tests.benchmarks [--area AREA]` runs them and ends non-zero when a goal is missed. Goals are
ratios against something measured in the same run; absolute figures are printed without one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One figure. `goal` is the least it may be, or with `at_most` the greatest; None: only told."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    at_most: bool = False

    @property
    def holds(self) -> bool:
        if self.goal is None:
            return True
        return self.value <= self.goal if self.at_most else self.value >= self.goal

    def as_dict(self) -> dict[str, object]:
        return {
            "name": self.name,
            "value": round(self.value, 4),
            "unit": self.unit,
            "goal": self.goal,
            "holds": self.holds,
        }
