"""The way a row took: the bridges it passed before it came here, in words. What they wrote is a stranger's text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from logs.rows import iso, precisely, short

STEPS_MAX = 40
NAME_MAX = 200
REMOVED_MAX = 20
REDACTED = "redacted"
"""The word in a row's flags that says that something of it was removed on its way."""


@dataclass(frozen=True, slots=True)
class Step:
    """One bridge on the way; the keys are the `data-step` names in `logs/step.html`.

    `way` is how the row came there, `held` how long it lay there, `removed` what was taken out of it before it left.
    """

    name: str
    bridge: str = ""
    received: str = ""
    way: str = ""
    held: str = ""
    sent: str = ""
    removed: str = ""

    def as_dict(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in self.__slots__}


EMPTY = Step("")
"""What the browser's template is rendered with."""


def steps(row: Mapping[str, Any]) -> list[Step]:
    """Return the way of a row, the first bridge first and this one last; empty for one that came directly."""
    origin = [hop for hop in row["origin"] if isinstance(hop, Mapping)][:STEPS_MAX]
    if not origin:
        return []
    told: list[Step] = []
    before: datetime | None = None
    for hop in origin:
        received, sent = _moment(hop.get("received")), _moment(hop.get("sent"))
        told.append(
            Step(
                name=_text(hop.get("name")) or "a bridge without a name",
                bridge=_text(hop.get("bridge")),
                received=iso(received) if received else "",
                way=_way(before, received) or _from(hop.get("peer")),
                held=f"lay there {precisely(sent - received)}" if received and sent and sent >= received else "",
                sent=iso(sent) if sent else "",
                removed=_removed(hop.get("redacted")),
            )
        )
        before = sent
    here = Step("this bridge", received=iso(row["received"]), way=_way(before, row["received"]))
    return [*told, _with_unsaid(here, told, row)]


def _with_unsaid(here: Step, told: Sequence[Step], row: Mapping[str, Any]) -> Step:
    """Say so where something was removed and no bridge tells what."""
    if REDACTED not in row["flags"].split() or any(step.removed for step in told):
        return here
    return Step(**here.as_dict() | {"removed": "something was removed on the way; where is not told"})


def _way(sent: datetime | None, received: datetime | None) -> str:
    """Return how long a row was on its way between two clocks."""
    if sent is None or received is None:
        return ""
    if received < sent:
        return f"came {precisely(sent - received)} before it was sent: the clocks differ"
    return f"on the way {precisely(received - sent)}"


def _from(peer: Any) -> str:
    text = _text(peer)
    return f"from {text}" if text else ""


def _removed(told: Any) -> str:
    if not isinstance(told, list) or not told:
        return ""
    named = [_text(each) for each in told[:REMOVED_MAX]]
    more = f" and {len(told) - REMOVED_MAX:,} more" if len(told) > REMOVED_MAX else ""
    return "removed before it left: " + ", ".join(named) + more


def _text(value: Any) -> str:
    return short(value, NAME_MAX) if isinstance(value, str) else ""


def _moment(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    if found.tzinfo is None or not 2000 <= found.year <= 9000:
        return None
    return found.astimezone(UTC)
