"""The old herald's GraphQL: names, types, arguments and what they select are fixed, because programs rely on them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import graphene
import orjson
from django.utils import timezone

from logs import record, store
from logs.access import may_write
from logs.models import HeartBeat
from logs.query import QueryError
from logs.schema import searching
from logs.schema.asking import PAGE_MAX, Asking, Refused, column
from logs.search import COLUMNS, Person, Row, visible_to

SKIP_MAX = 100_000
OPTIONS_MAX = 1_000
NOT_SELECTED = "not_selected"

SEED_COLUMNS = (
    *("id", "created", "threadname", "api_version", "package_version", "name", "relativecreated", "process", "args"),
    *("module", "funcname", "levelno", "processname", "thread", "msecs", "message", "exc_text", "exc_info"),
    *("stack_info", "pathname", "filename", "asctime", "levelname", "lineno", "produkt_id", "system_id"),
    *("sub_system_id", "sub_sub_system_id", "user_spec_1", "user_spec_2", "summary"),
)
"""The columns of the old herald, in its order."""

OPTIONS = {
    "produkt_ids": "produkt_id",
    "system_ids": "system_id",
    "sub_system_ids": "sub_system_id",
    "sub_sub_system_ids": "sub_sub_system_id",
    "user_spec_1s": "user_spec_1",
    "user_spec_2s": "user_spec_2",
}

WHOLE_NUMBERS = ("levelno", "lineno", "process", "thread")
REAL_NUMBERS = ("msecs", "relativecreated")


def old_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as the old herald gave it: its columns, `created` as text (in UTC), None for what was never set."""
    shown = {column: None if row[column] == "" else row[column] for column in SEED_COLUMNS}
    return shown | {"created": old_time(row["created"]), "message": row["message"]}


def old_time(moment: datetime) -> str:
    """Return a moment as the old herald wrote it, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def options(person: Person) -> dict[str, list[str]]:
    """Return what each id may be chosen from, each list ending in the word for no choice."""
    return {
        name: [*searching.seen_values(person, column, OPTIONS_MAX), NOT_SELECTED] for name, column in OPTIONS.items()
    }


# --- Types ----------------------------------------------------------------------------------------------------------


class GLog(graphene.ObjectType):
    """A row as the old herald gave it. What its sender did not set is null; `created` is in UTC."""

    class Meta:
        default_resolver = column

    id = graphene.ID(required=True)
    created = graphene.String()
    threadname = graphene.String()
    api_version = graphene.String()
    package_version = graphene.String()
    name = graphene.String()
    relativecreated = graphene.Float()
    process = graphene.Int()
    args = graphene.String()
    module = graphene.String()
    funcname = graphene.String()
    levelno = graphene.Int()
    processname = graphene.String()
    thread = graphene.Float()
    msecs = graphene.Float()
    message = graphene.String()
    exc_text = graphene.String()
    exc_info = graphene.String()
    stack_info = graphene.String()
    pathname = graphene.String()
    filename = graphene.String()
    asctime = graphene.String()
    levelname = graphene.String()
    lineno = graphene.Int()
    produkt_id = graphene.String()
    system_id = graphene.String()
    sub_system_id = graphene.String()
    sub_sub_system_id = graphene.String()
    user_spec_1 = graphene.String()
    user_spec_2 = graphene.String()
    summary = graphene.String()


class GHeartBeat(graphene.ObjectType):
    """A sign of life, as the old herald described it; no field of it leads here, then or now."""

    id = graphene.ID(required=True)
    newest_heartbeat = graphene.String()
    system_id = graphene.String()

    @classmethod
    def is_type_of(cls, root: Any, info: Any) -> bool:
        return isinstance(root, HeartBeat)


class AddGLogFields(graphene.InputObjectType):
    """A record to add. `created` is a date and time (in UTC unless it says otherwise) or seconds since 1970.

    herald numbers its rows itself: an `id` is kept beside the other things that have no column.
    """

    id = graphene.Int()
    created = graphene.String()
    threadname = graphene.String()
    api_version = graphene.String()
    package_version = graphene.String()
    name = graphene.String()
    relativecreated = graphene.String()
    process = graphene.String()
    args = graphene.String()
    module = graphene.String()
    funcname = graphene.String()
    levelno = graphene.String()
    processname = graphene.String()
    thread = graphene.String()
    msecs = graphene.String()
    message = graphene.String()
    exc_text = graphene.String()
    exc_info = graphene.String()
    stack_info = graphene.String()
    pathname = graphene.String()
    filename = graphene.String()
    asctime = graphene.String()
    levelname = graphene.String()
    lineno = graphene.String()
    produkt_id = graphene.String()
    system_id = graphene.String()
    sub_system_id = graphene.String()
    sub_sub_system_id = graphene.String()
    user_spec_1 = graphene.String()
    user_spec_2 = graphene.String()
    summary = graphene.String()


# --- Reading --------------------------------------------------------------------------------------------------------


class SeedQuery(graphene.ObjectType):
    hello = graphene.String(name=graphene.String(default_value="stranger"))
    goodbye = graphene.String()
    get_logs = graphene.List(
        GLog,
        search=graphene.String(),
        first=graphene.Int(),
        skip=graphene.Int(),
        description=f"Rows whose message contains `search`, oldest first: at most {PAGE_MAX:,}, also without `first`.",
    )
    get_by_system_id = graphene.List(
        GLog,
        system_id=graphene.String(),
        description=f"Rows whose system id contains `systemId`, oldest first: at most {PAGE_MAX:,}.",
    )
    get_search_options = graphene.String(description="What `/angular/options` answers: JSON in a text.")

    @staticmethod
    def resolve_hello(root: Any, info: Any, name: str | None) -> str:
        return f"Hello {name}!"

    @staticmethod
    def resolve_goodbye(root: Any, info: Any) -> str:
        return "See ya!"

    @staticmethod
    def resolve_get_logs(
        root: Any, info: Any, search: str | None = None, first: int | None = None, skip: int | None = None
    ) -> list[dict[str, Any]]:
        skip = skip or 0
        if not 0 <= skip <= SKIP_MAX:
            raise Refused(f"skip is {skip}; it must be from 0 to {SKIP_MAX:,}. For what lies further: logs(after: …).")
        return _found(info, "message", search or "", first or None, skip)

    @staticmethod
    def resolve_get_by_system_id(root: Any, info: Any, system_id: str | None = None) -> list[dict[str, Any]]:
        # As in the old herald, where nothing contained NULL.
        return [] if system_id is None else _found(info, "system_id", system_id)

    @staticmethod
    def resolve_get_search_options(root: Any, info: Any) -> str:
        info.context.begin()
        return orjson.dumps(options(info.context.person)).decode()


def _found(info: Any, column: str, text: str, first: int | None = None, skip: int = 0) -> list[dict[str, Any]]:
    asking: Asking = info.context
    asking.begin()
    limit = asking.rows("first", first, otherwise=min(PAGE_MAX, max(1, asking.rows_left)))
    try:
        wanted = searching.query(searching.contains(column, text))
    except QueryError as error:
        raise Refused(error.advice) from None
    rows, in_time = searching.oldest_first(asking.person, wanted, skip=skip, limit=limit, deadline=asking.deadline)
    asking.answered(len(rows))
    if not in_time:
        asking.remark_time(info)
    return [old_row(row) for row in rows]


# --- Writing --------------------------------------------------------------------------------------------------------


class AddLog(graphene.Mutation):
    """Adds a record, as if it had come in at the record port. Takes a token that may write, or the permission."""

    log = graphene.Field(lambda: GLog)

    class Arguments:
        input = AddGLogFields(required=True)

    @staticmethod
    def mutate(root: Any, info: Any, input: Mapping[str, Any]) -> AddLog:
        asking: Asking = info.context
        if not may_write(asking.request):
            raise Refused("Adding records takes a token with the scope write, or the permission “Can add log”.")
        asking.begin()
        row = add(input, asking.person, peer=asking.request.META.get("REMOTE_ADDR", ""))
        return AddLog(log=row and old_row(row))


class SeedMutation(graphene.ObjectType):
    addLog = AddLog.Field()


def add(given: Mapping[str, Any], person: Person, peer: str) -> Row | None:
    """Store a record of texts, as `addLog` gets it, and return its row as far as `person` may see it."""
    now = timezone.now()
    fields = {name: _typed(name, value) for name, value in given.items() if value is not None}
    # The old herald took any of its columns, and none.
    made = record.build({"message": "", "created": now.timestamp()} | fields, received=now, peer=peer)
    store.append([made])
    same = visible_to(person).rows().filter(received=made.received, system_id=made.system_id, message=made.message)
    found: Row | None = same.order_by("-id").values(*COLUMNS).first()
    return found


def _typed(name: str, text: Any) -> Any:
    """Return a text as what its column keeps; one that is nothing of the kind stays text, for `extra`."""
    if not isinstance(text, str):
        return text
    try:
        if name in WHOLE_NUMBERS and len(text) <= 30:
            return int(text)
        if name in REAL_NUMBERS and len(text) <= 40:
            return float(text)
        if name == "created":
            return _seconds(text)
    except (ValueError, OverflowError):
        pass
    return text


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return searching.utc(datetime.fromisoformat(text.strip())).timestamp()
