"""The log in herald's own terms: rows by its query language in pages by key, and what rows have in common."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import graphene
from django.utils import timezone
from graphene.types.generic import GenericScalar

from logs import query, search
from logs.models import HeartBeat
from logs.query import Query, QueryError
from logs.schema import searching
from logs.schema.asking import PAGE_MAX, Asking, Refused, column
from logs.search import Person, Row

PAGE = 50
NEIGHBOURS = 5
NEIGHBOURS_MAX = 200
FACET_VALUES = 10
FACET_VALUES_MAX = 100
BUCKETS = 60
BUCKETS_MAX = 500
TIMELINE = timedelta(hours=24)
ID_MAX = 2**63 - 1

_NO_FACETS = frozenset({"message", "exc_text", "stack_info", "extra", "origin"})
FACETS = tuple(
    name
    for found in query.FIELDS
    if len(found.columns) == 1 and found.columns[0] not in _NO_FACETS
    for name in found.names
)
"""The names of fields whose values may be counted."""
_USUAL_FACETS = ("level", "system", "host", "version", "logger")


# --- One row ----------------------------------------------------------------------------------------------------------


class EntryFields:
    """Every column of a row; a text that its sender did not set is empty."""

    id = graphene.ID(required=True, description="The row's number: rows are numbered as they arrive.")
    created = graphene.DateTime(required=True, description="When it was written, by the sender's clock.")
    received = graphene.DateTime(required=True, description="When it arrived, by herald's clock.")
    system_id = graphene.String(required=True)
    sub_system_id = graphene.String(required=True, description="The host.")
    sub_sub_system_id = graphene.String(required=True)
    produkt_id = graphene.String(required=True)
    user_spec_1 = graphene.String(required=True)
    user_spec_2 = graphene.String(required=True)
    package_version = graphene.String(required=True)
    api_version = graphene.String(required=True)
    name = graphene.String(required=True, description="The logger.")
    levelno = graphene.Int(required=True)
    levelname = graphene.String(required=True)
    message = graphene.String(required=True)
    args = graphene.String(required=True)
    exc_info = graphene.String(required=True)
    exc_text = graphene.String(required=True, description="The traceback.")
    stack_info = graphene.String(required=True)
    pathname = graphene.String(required=True)
    filename = graphene.String(required=True)
    module = graphene.String(required=True)
    funcname = graphene.String(required=True)
    lineno = graphene.Int()
    process = graphene.Int()
    processname = graphene.String(required=True)
    thread = graphene.BigInt()
    threadname = graphene.String(required=True)
    taskname = graphene.String(required=True)
    asctime = graphene.String(required=True)
    summary = graphene.String(required=True)
    msecs = graphene.Float()
    relativecreated = graphene.Float()
    extra = GenericScalar(required=True, description="Every key of the record that has no column.")
    peer = graphene.String(required=True, description="The address it came from.")
    origin = GenericScalar(required=True, description="The bridges it came through, with times.")
    flags = graphene.String(required=True, description="What herald had to mend: created, cut, odd.")


class LogEntry(EntryFields, graphene.ObjectType):
    """A row."""

    class Meta:
        default_resolver = column


class Kin(graphene.Enum):
    """Which rows are neighbours of a row: those of the same system, process or thread, or any close to it in time."""

    SYSTEM = "system"
    PROCESS = "process"
    THREAD = "thread"
    TIME = "time"


class Neighbours(graphene.ObjectType):
    """The rows around a row, in the order of arrival; by TIME, in that of the senders' clocks."""

    before = graphene.List(graphene.NonNull(LogEntry), required=True)
    after = graphene.List(graphene.NonNull(LogEntry), required=True)


class LogInContext(EntryFields, graphene.ObjectType):
    """A row, from which one may read around."""

    class Meta:
        default_resolver = column

    neighbours = graphene.Field(
        Neighbours,
        count=graphene.Int(description=f"How many at most, in either direction; {NEIGHBOURS} where nothing is said."),
        by=graphene.Argument(Kin, description="SYSTEM where nothing is said."),
    )

    @staticmethod
    def resolve_neighbours(row: Row, info: Any, count: int | None = None, by: Any = None) -> dict[str, list[Row]]:
        asking: Asking = info.context
        asking.begin()
        around = asking.rows(
            "count", _within("count", NEIGHBOURS if count is None else count, NEIGHBOURS_MAX), NEIGHBOURS
        )
        kin: searching.Kin = "system" if by is None else by.value
        before, after, complete = searching.neighbours(
            asking.person, row, around=around, by=kin, deadline=asking.deadline
        )
        asking.answered(len(before) + len(after))
        if not complete:
            asking.remark_time(info)
        return {"before": before, "after": after}


# --- Pages of rows ----------------------------------------------------------------------------------------------------


class PageInfo(graphene.ObjectType):
    """Where to go on: `endCursor` as `after` with `first`, `startCursor` as `before` with `last`."""

    has_next_page = graphene.Boolean(required=True, description="Whether there are older rows.")
    has_previous_page = graphene.Boolean(required=True, description="Whether there may be newer rows.")
    start_cursor = graphene.String()
    end_cursor = graphene.String()


class LogEdge(graphene.ObjectType):
    """A row and its place."""

    cursor = graphene.String(required=True)
    node = graphene.Field(LogEntry, required=True)


class LogConnection(graphene.ObjectType):
    """A page of rows, newest arrival first. Nobody has counted how many there are in all."""

    edges = graphene.List(graphene.NonNull(LogEdge), required=True)
    nodes = graphene.List(graphene.NonNull(LogEntry), required=True)
    page_info = graphene.Field(PageInfo, required=True)
    complete = graphene.Boolean(
        required=True,
        description="False: time ran out. The page holds what was found, and its cursors go on from there.",
    )
    read_as = graphene.String(required=True, description="How herald understood the query, in words.")


def _connection(page: searching.Found, wanted: Query, forward: bool) -> dict[str, Any]:
    # The cursor behind the last row of a page that ran out of time is where the search stood.
    rows = page.rows
    start = str(page.newer) if page.newer is not None and not forward else (str(rows[0]["id"]) if rows else None)
    end = str(page.older) if page.older is not None and forward else (str(rows[-1]["id"]) if rows else None)
    return {
        "edges": [{"cursor": str(row["id"]), "node": row} for row in rows],
        "nodes": rows,
        "page_info": {
            "has_next_page": page.older is not None,
            "has_previous_page": page.newer is not None,
            "start_cursor": start,
            "end_cursor": end,
        },
        "complete": page.is_complete,
        "read_as": str(wanted),
    }


def _cursor(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= ID_MAX:
        return int(text)
    raise Refused(f"{name} is no cursor of this list: take one from pageInfo or from an edge.")


# --- What rows have in common -----------------------------------------------------------------------------------------


class FacetValue(graphene.ObjectType):
    """A value of a field and how often it was counted; for the level, its number."""

    value = graphene.String(required=True)
    count = graphene.Int(required=True)


class Facet(graphene.ObjectType):
    """The most frequent values of a field among the newest rows that match."""

    field = graphene.String(required=True)
    values = graphene.List(graphene.NonNull(FacetValue), required=True)
    others = graphene.Int(required=True, description="How many of the rows have another value.")
    rows = graphene.Int(required=True, description="How many rows were looked at.")
    complete = graphene.Boolean(required=True, description="Whether these are all the rows that match.")


class LevelCount(graphene.ObjectType):
    """How many rows have a level, cut down to a standard one."""

    level = graphene.Int(required=True)
    count = graphene.Int(required=True)


class Bucket(graphene.ObjectType):
    """The rows written within one stretch of time, which begins at `start`."""

    start = graphene.DateTime(required=True)
    count = graphene.Int(required=True)
    levels = graphene.List(graphene.NonNull(LevelCount), required=True)


class Kind(graphene.Enum):
    """Where numbers come from: kept by the minute, counted from the rows, or estimated from some of them."""

    COUNTS = "counts"
    ROWS = "rows"
    SAMPLE = "sample"


class Histogram(graphene.ObjectType):
    """How many rows were written when, by the senders' clocks."""

    start = graphene.DateTime(required=True, description="When the first stretch begins.")
    seconds = graphene.Float(required=True, description="How long each stretch is.")
    buckets = graphene.List(graphene.NonNull(Bucket), required=True)
    kind = graphene.Field(Kind, required=True)
    complete = graphene.Boolean(required=True, description="False: the numbers are estimated from a sample.")


class System(graphene.ObjectType):
    """A system on a host, and when herald heard of it, by herald's clock."""

    system_id = graphene.String(required=True)
    host = graphene.String(required=True)
    first_heartbeat = graphene.DateTime(required=True)
    newest_heartbeat = graphene.DateTime(required=True)

    @staticmethod
    def resolve_host(beat: HeartBeat, info: Any) -> str:
        return beat.sub_system_id


def _buckets(found: searching.Timeline) -> list[dict[str, Any]]:
    return [
        {
            "start": found.start + at * found.width,
            "count": sum(counts[at] for counts in found.levels.values()),
            "levels": [
                {"level": level, "count": counts[at]} for level, counts in sorted(found.levels.items()) if counts[at]
            ],
        }
        for at in range(found.buckets)
    ]


# --- The questions ----------------------------------------------------------------------------------------------------


_QUERY = graphene.String(description="A query in herald's language; without one, every row.")


class EntryQuery(graphene.ObjectType):
    logs = graphene.Field(
        LogConnection,
        query=_QUERY,
        first=graphene.Int(description=f"How many: at most {PAGE_MAX:,}; {PAGE} where nothing is said."),
        after=graphene.String(description="Older than this cursor."),
        last=graphene.Int(description="How many of the oldest rows, or of those next to `before`."),
        before=graphene.String(description="Newer than this cursor."),
        description="A page of rows, newest arrival first: `first` with `after` leads to older ones, `last` with "
        "`before` to newer ones.",
    )
    log = graphene.Field(LogInContext, id=graphene.ID(required=True), description="One row; null where there is none.")
    facets = graphene.List(
        graphene.NonNull(Facet),
        query=_QUERY,
        fields=graphene.List(graphene.NonNull(graphene.String)),
        first=graphene.Int(description=f"How many values of each: at most {FACET_VALUES_MAX}."),
        description=f"The most frequent values of fields, over the newest {searching.SAMPLE:,} rows that match.",
    )
    histogram = graphene.Field(
        Histogram,
        query=_QUERY,
        since=graphene.DateTime(description="From when; a day before `until` where nothing is said."),
        until=graphene.DateTime(description="Up to, but without; now where nothing is said."),
        buckets=graphene.Int(
            description=f"Into how many stretches at most: up to {BUCKETS_MAX}; {BUCKETS} where nothing is said."
        ),
    )
    systems = graphene.List(
        graphene.NonNull(System),
        first=graphene.Int(description=f"How many: at most {PAGE_MAX:,}."),
        description="The systems herald has heard of, the one heard of last first.",
    )

    @staticmethod
    def resolve_logs(
        root: Any,
        info: Any,
        query: str | None = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> dict[str, Any]:
        asking: Asking = info.context
        asking.begin()
        forward = last is None and before is None
        if not forward and not (first is None and after is None):
            raise Refused("Ask for `first` with `after`, or for `last` with `before`, not for a mixture of both.")
        wanted = _read(query)
        limit = asking.rows("first" if forward else "last", first if forward else last, PAGE)
        place: dict[str, Any]
        if forward:
            place = {"before": _cursor("after", after)}
        else:
            place = {"after": _cursor("before", before) or 0}
        page = searching.page(asking.person, wanted, deadline=asking.deadline, limit=limit, **place)
        asking.answered(len(page.rows))
        if not page.is_complete:
            asking.remark_time(info)
        return _connection(page, wanted, forward)

    @staticmethod
    def resolve_log(root: Any, info: Any, id: str) -> Row | None:
        asking: Asking = info.context
        asking.begin()
        number = int(id) if id.isascii() and id.isdigit() and len(id) < 20 else 0
        row = search.row(asking.person, number) if 0 < number <= ID_MAX else None
        asking.answered(1)
        return row

    @staticmethod
    def resolve_facets(
        root: Any, info: Any, query: str | None = None, fields: list[str] | None = None, first: int | None = None
    ) -> list[dict[str, Any]]:
        asking: Asking = info.context
        asking.begin()
        wanted = _read(query)
        names = [_facet_name(name) for name in dict.fromkeys(_USUAL_FACETS if fields is None else fields)]
        top = _within("first", FACET_VALUES if first is None else first, FACET_VALUES_MAX)
        found = searching.facets(asking.person, wanted, names, top, deadline=asking.deadline)
        if asking.deadline.is_over and any(facet.is_sample for facet in found):
            asking.remark_time(info)
        return [
            {
                "field": facet.field,
                "values": [{"value": str(value), "count": count} for value, count in facet.values],
                "others": facet.others,
                "rows": facet.rows,
                "complete": not facet.is_sample,
            }
            for facet in found
        ]

    @staticmethod
    def resolve_histogram(
        root: Any,
        info: Any,
        query: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        buckets: int | None = None,
    ) -> dict[str, Any]:
        asking: Asking = info.context
        asking.begin()
        wanted = _read(query)
        number = _within("buckets", BUCKETS if buckets is None else buckets, BUCKETS_MAX)
        start, end = _stretch(since, until)
        found = searching.histogram(
            asking.person, wanted, since=start, until=end, buckets=number, deadline=asking.deadline
        )
        if not found.is_complete and asking.deadline.is_over:
            asking.remark_time(info)
        return {
            "start": found.start,
            "seconds": found.width.total_seconds(),
            "buckets": _buckets(found),
            "kind": found.kind,
            "complete": found.is_complete,
        }

    @staticmethod
    def resolve_systems(root: Any, info: Any, first: int | None = None) -> list[HeartBeat]:
        asking: Asking = info.context
        asking.begin()
        limit = asking.rows("first", first, PAGE)
        found = systems(asking.person, limit)
        asking.answered(len(found))
        return found


def systems(person: Person, limit: int) -> list[HeartBeat]:
    """Return the systems `person` may know of, the one heard of last first."""
    return list(HeartBeat.objects.order_by("-newest_heartbeat", "-id")[:limit])


def _read(text: str | None) -> Query:
    try:
        return query.parse(text or "")
    except QueryError as error:
        raise Refused(f"The query cannot be understood. {error}") from None


def _within(name: str, number: int, most: int) -> int:
    if not 1 <= number <= most:
        raise Refused(f"{name} is {number}; it must be from 1 to {most:,}.")
    return number


def _facet_name(name: str) -> str:
    if name not in FACETS:
        raise Refused(f"There are no counts for the field {name[:50]!r}; there are for {', '.join(FACETS)}.")
    return name


def _stretch(since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    try:
        end = timezone.now() if until is None else searching.utc(until)
        start = end - TIMELINE if since is None else searching.utc(since)
        end + TIMELINE
    except OverflowError:
        raise Refused("The times lie beyond what a calendar holds.") from None
    if start >= end:
        raise Refused("`since` must be before `until`.")
    return start, end
