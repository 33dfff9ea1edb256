"""How destinations and incoming bridges are, in the words that pages use, and what to look at when something is wrong.

Pure: a row and the moment in, words out. What another bridge wrote is made inert here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bridge.addresses import shown
from bridge.hops import BEAT_EVERY, QUIET_AFTER, HopState, state_of
from bridge.models import Destination, Hop
from logs.client import sender as line
from logs.rows import in_words, precisely, short

TEXT_MAX = 500
UNTENDED_AFTER = timedelta(seconds=60)
"""A forwarder writes how it stands every second, and at the latest when a connection attempt has failed."""
BEHIND_AFTER = timedelta(seconds=10)
"""A connected destination to which rows come later than that is told to be behind."""
AGREEING = 0.1
"""Seconds by which two clocks may differ and still count as one."""

ABSURD = 1e11
"""Seconds, some 3,000 years: a clock that claims more is not told more exactly."""


class Tone(StrEnum):
    """How much attention a state asks for; also the class by which a page colours it."""

    GOOD = "good"
    CALM = "calm"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Health:
    """A state in a word or two, a sentence on what it means and what to look at, and since when."""

    word: str
    tone: Tone
    sentence: str
    since: datetime | None = None

    @property
    def is_trouble(self) -> bool:
        return self.tone in (Tone.WARNING, Tone.ERROR)


# --- Destinations -------------------------------------------------------------------------------------------------


class DestinationState(StrEnum):
    """How a destination is; the value is the word for it."""

    CONNECTED = "connected"
    QUIET = "quiet"
    TUNNEL_DOWN = "tunnel down"
    BRIDGE_DOWN = "bridge down"
    REFUSED = "refused"
    LOST = "lost"
    STARTING = "starting"
    PAUSED = "paused"
    NOT_STARTED = "not started"
    UNTENDED = "no bridge forwards"

    @property
    def is_tended(self) -> bool:
        """Whether a forwarder is at work, so that what it wrote is new."""
        return self not in (DestinationState.PAUSED, DestinationState.NOT_STARTED, DestinationState.UNTENDED)


_STATES = {
    line.CONNECTED: DestinationState.CONNECTED,
    line.UNREACHABLE: DestinationState.TUNNEL_DOWN,
    line.SILENT: DestinationState.BRIDGE_DOWN,
    line.REFUSED: DestinationState.REFUSED,
    line.LOST: DestinationState.LOST,
}
_TONES = {
    DestinationState.CONNECTED: Tone.GOOD,
    DestinationState.QUIET: Tone.GOOD,
    DestinationState.STARTING: Tone.CALM,
    DestinationState.PAUSED: Tone.CALM,
    DestinationState.LOST: Tone.WARNING,
    DestinationState.NOT_STARTED: Tone.WARNING,
}


def destination_state(destination: Destination, now: datetime) -> DestinationState:
    """Return how a destination is.

    Quiet: connected, nothing waits, and no row has gone there for 5 minutes. Tunnel down: nothing accepts connections
    at its address. Bridge down: something accepts them, but no herald answers.
    """
    if not destination.enabled:
        return DestinationState.PAUSED
    if not _is_tended(destination, now):
        return DestinationState.UNTENDED if destination.updated else DestinationState.NOT_STARTED
    state = _STATES.get(destination.state, DestinationState.STARTING)
    if state is DestinationState.CONNECTED and _is_quiet(destination, now):
        return DestinationState.QUIET
    return state


def _is_tended(destination: Destination, now: datetime) -> bool:
    if destination.held_until is None or destination.held_until < now:
        return False
    if destination.updated is None or destination.state == line.REFUSED:
        # A forwarder that cannot begin, because its destination's fields make no sense, says so once and waits.
        return True
    return now - destination.updated <= UNTENDED_AFTER


def _is_quiet(destination: Destination, now: datetime) -> bool:
    newest = destination.newest_row
    return not destination.waiting and (newest is None or now - newest > QUIET_AFTER)


def of_destination(destination: Destination, now: datetime) -> Health:
    """Return how a destination is, in words."""
    state = destination_state(destination, now)
    return Health(
        word=state.value,
        tone=_TONES.get(state, Tone.ERROR),
        sentence=_destination_sentence(state, destination, now),
        since=_since(state, destination),
    )


def _since(state: DestinationState, destination: Destination) -> datetime | None:
    if state is DestinationState.UNTENDED:
        return destination.updated
    if state is DestinationState.QUIET:
        return destination.newest_row or destination.state_since
    if state is DestinationState.PAUSED:
        return destination.state_since if destination.state == line.STOPPED else None
    return None if state is DestinationState.NOT_STARTED else destination.state_since


def _destination_sentence(state: DestinationState, destination: Destination, now: datetime) -> str:
    address = shown(destination.host, destination.port)
    said = short(destination.state_text, TEXT_MAX)
    why = f"{said[:1].upper()}{said[1:]}." if said else ""
    newest = destination.newest_row
    return {
        DestinationState.CONNECTED: why or _pace(destination),
        DestinationState.QUIET: f"The connection stands, and no row has gone there for {in_words(now - newest)}."
        if newest
        else "The connection stands; no row has gone there yet.",
        DestinationState.TUNNEL_DOWN: f"Nothing accepts connections at {address}. Rows wait. See whether the tunnel "
        "stands, or, without one, whether that machine can be reached and a bridge runs there.",
        DestinationState.BRIDGE_DOWN: f"Something accepts connections at {address}, but no herald answers. Rows wait. "
        "The tunnel stands; see whether the bridge behind it runs.",
        DestinationState.REFUSED: f"Rows wait, because they may not go there: {said or 'no reason is given'}.",
        DestinationState.LOST: f"The connection broke; another is being made. Rows wait. {why}".rstrip(),
        DestinationState.STARTING: "The first connection is being made.",
        DestinationState.PAUSED: "Somebody paused it. Rows wait, as long as they are kept.",
        DestinationState.NOT_STARTED: "No bridge has forwarded for it yet. `manage.py run_bridge` on this machine does.",
        DestinationState.UNTENDED: "Rows wait, because nobody forwards for it. See whether the bridge of this site "
        "runs: `manage.py run_bridge --status`.",
    }[state]


def _pace(destination: Destination) -> str:
    lag = timedelta(seconds=destination.lag_seconds)
    if not destination.waiting or lag < BEHIND_AFTER:
        return "Rows go there as they come."
    return f"Rows go there, the oldest first; the next one has waited for {in_words(lag)}."


# --- Incoming bridges -----------------------------------------------------------------------------------------------

_HOP_TONES = {
    HopState.UP: Tone.GOOD,
    HopState.QUIET: Tone.GOOD,
    HopState.STOPPED: Tone.CALM,
    HopState.SILENT: Tone.ERROR,
    HopState.GONE: Tone.ERROR,
}


def of_hop(hop: Hop, now: datetime, through: Health | None = None) -> Health:
    """Return how an incoming bridge is, in words; `through` is how the bridge is by which it is heard of."""
    if through is not None and through.word not in (HopState.UP, HopState.QUIET):
        name = short(hop.via, 80)
        return Health("unknown", Tone.CALM, f"Only {name} tells of it, and that is {through.word}.", hop.newest_beat)
    state = state_of(hop, now)
    since = hop.newest_row if state is HopState.QUIET else hop.newest_beat
    return Health(state.value, _HOP_TONES[state], _hop_sentence(state, hop), None if state is HopState.UP else since)


def _hop_sentence(state: HopState, hop: Hop) -> str:
    return {
        HopState.UP: "It is alive and sends rows.",
        HopState.QUIET: "It is alive and reaches this site, and has nothing to tell: the site there is quiet."
        if hop.newest_row
        else "It is alive and reaches this site; no row has come from it yet.",
        HopState.STOPPED: "It was stopped in order and said goodbye. Whoever wants its rows starts it again.",
        HopState.SILENT: f"Its connection stands, but no sign of life comes, and one is due every {in_words(BEAT_EVERY)}: "
        "it hangs, or the way is blocked. See how the process is there.",
        HopState.GONE: "Its connection broke without a goodbye. See whether the tunnel stands; if it does, "
        "whether the bridge there was killed.",
    }[state]


@dataclass(frozen=True, slots=True)
class Incoming:
    """An incoming bridge on a page; `depth` is 1 for one that is heard of through another."""

    hop: Hop
    health: Health
    depth: int = 0

    @property
    def name(self) -> str:
        return short(self.hop.name, 200) or short(self.hop.bridge, 64)

    @property
    def via(self) -> str:
        return short(self.hop.via, 200)

    @property
    def clock(self) -> str:
        return clock_in_words(self.hop.clock_offset)

    @property
    def way(self) -> str:
        return way_in_words(self.hop.held, self.hop.transit)


def incoming(hops: Iterable[Hop], now: datetime) -> list[Incoming]:
    """Return the bridges that send here by name, each followed by those behind it."""
    found = sorted(hops, key=lambda hop: (hop.name, hop.bridge))
    behind: dict[str, list[Hop]] = {}
    for hop in found:
        if hop.via:
            behind.setdefault(hop.via, []).append(hop)
    told: list[Incoming] = []
    for hop in found:
        if not hop.via:
            direct = Incoming(hop, of_hop(hop, now))
            told.append(direct)
            told += [Incoming(each, of_hop(each, now, direct.health), 1) for each in behind.pop(hop.name, [])]
    # Their messenger has another name by now, or is forgotten.
    return told + [Incoming(each, of_hop(each, now), 1) for rest in behind.values() for each in rest]


# --- Figures ----------------------------------------------------------------------------------------------------------


def clock_in_words(ahead: float | None) -> str:
    """Return what is known of a clock over there that is `ahead` seconds before ours."""
    if ahead is None:
        return ""
    if abs(ahead) < AGREEING:
        return "its clock agrees with ours"
    by = precisely(timedelta(seconds=min(abs(ahead), ABSURD)))
    return f"its clock is {by} {'ahead' if ahead > 0 else 'behind'}"


def way_in_words(held: float | None, transit: float | None) -> str:
    """Return for how long rows lay at a bridge, and how long they then took."""
    parts = []
    if held is not None:
        parts.append(f"lay there {precisely(timedelta(seconds=max(0.0, held)))}")
    if transit is not None:
        parts.append(f"on the way {precisely(timedelta(seconds=max(0.0, transit)))}")
    return ", ".join(parts)


def lag_in_words(waiting: int, lag_seconds: float) -> str:
    """Return how many rows wait, and for how long the oldest of them does."""
    if not waiting:
        return "none"
    return f"{waiting:,}, the oldest for {precisely(timedelta(seconds=lag_seconds))}"


def removed_in_words(destination: Destination) -> list[str]:
    """Return what is removed of rows that go there: `message masked`."""
    ways = (("dropped", destination.dropped), ("masked", destination.masked), ("hashed", destination.hashed))
    return [f"{short(name, 80)} {way}" for way, names in ways for name in _names(names)]


def _names(text: str) -> list[str]:
    return [name for part in text.replace(",", "\n").splitlines() if (name := part.strip())]
