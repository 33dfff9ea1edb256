"""What one message in flight looks like, once everything odd about it has been made storable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import isfinite
from operator import call, itemgetter
from typing import NamedTuple, cast

from django.conf import settings

from logs import storable
from logs.merging import merge

ID_MAX = 200
LABEL_MAX = 1_000
TEXT_MAX: int = settings.TEXT_MAX
"""Longest ids, other short texts, and message, exc_text, stack_info, in characters."""

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""A sender's clock before this was never set."""
_EARLIEST = EARLIEST.timestamp()
CLOCK_LEAD = timedelta(hours=24)
"""How far a sender's clock may be ahead of herald's: the widest mistake that a wrong time zone makes."""

INT32 = (-(2**31), 2**31 - 1)
INT64 = (-(2**63), 2**63 - 1)


class NotARecord(ValueError):
    """The fields hold no log record: no message, or nothing that says whose or how grave or when."""


class Record(NamedTuple):
    """One message on its way into the store; the field names are Log's columns, in the order they are written.

    Every value is storable on every engine: text without NUL or lone surrogates and within its limit, numbers
    within their column's range, `extra` and `origin` as JSON text. Moments are aware, in UTC. `flags` holds words
    separated by spaces: `created` (the sender's time was absurd or absent, `received` stands in), `cut` (something
    was too long), `odd` (a value was made inert or did not fit its column).
    """

    created: datetime
    received: datetime
    system_id: str = ""
    sub_system_id: str = ""
    sub_sub_system_id: str = ""
    produkt_id: str = ""
    user_spec_1: str = ""
    user_spec_2: str = ""
    package_version: str = ""
    api_version: str = ""
    name: str = ""
    levelno: int = 0
    levelname: str = ""
    message: str = ""
    args: str = ""
    exc_info: str = ""
    exc_text: str = ""
    stack_info: str = ""
    pathname: str = ""
    filename: str = ""
    module: str = ""
    funcname: str = ""
    lineno: int | None = None
    process: int | None = None
    processname: str = ""
    thread: int | None = None
    threadname: str = ""
    taskname: str = ""
    asctime: str = ""
    summary: str = ""
    msecs: float | None = None
    relativecreated: float | None = None
    extra: str = "{}"
    peer: str = ""
    origin: str = "[]"
    flags: str = ""


# Old clients write the string "None" where one of these was never set.
IDS = ("system_id", "sub_system_id", "sub_sub_system_id", "produkt_id", "user_spec_1", "user_spec_2")
VERSIONS = ("package_version", "api_version")
LABELS = (
    *("name", "levelname", "pathname", "filename", "module", "funcname"),
    *("processname", "threadname", "taskname", "asctime", "summary"),
)
TEXTS = ("message", "exc_text", "stack_info")
# What `logging` itself keeps here is a tuple or None; both are kept as JSON text.
OBJECTS = ("args", "exc_info")
INTEGERS = {"levelno": INT32, "lineno": INT32, "process": INT32, "thread": INT64}
REALS = ("msecs", "relativecreated")

SENT = ("created", *IDS, *VERSIONS, *LABELS, *TEXTS, *OBJECTS, *INTEGERS, *REALS)
"""Columns a sender fills. The others are herald's own: a sender's key of such a name goes to `extra`."""

COLUMN_OF: dict[str, str] = {
    **{column: column for column in SENT},
    **{column.upper(): column for column in (*IDS, *VERSIONS)},
    **{"msg": "message", "funcName": "funcname", "threadName": "threadname", "processName": "processname"},
    **{"taskName": "taskname", "relativeCreated": "relativecreated"},
}
"""Every spelling under which a sender may fill a column: logging's, ps.basic's, and the column's own."""

LEVELS = {"CRITICAL": 50, "FATAL": 50, "ERROR": 40, "WARNING": 30, "WARN": 30, "INFO": 20, "DEBUG": 10, "NOTSET": 0}
LEVEL_NAMES = {50: "CRITICAL", 40: "ERROR", 30: "WARNING", 20: "INFO", 10: "DEBUG", 0: "NOTSET"}


def build(
    fields: Mapping[str, object],
    *,
    received: datetime,
    peer: str = "",
    odd: bool = False,
    text_max: int = TEXT_MAX,
) -> Record:
    """Return the record that `fields` tell of, whatever else is odd about them.

    `fields` holds plain values (None, bool, int, float, str, list, dict). It must have `msg` or `message`, and at
    least one of name, levelno, levelname and created; NotARecord says what is missing. Every key without a column,
    and every value that does not fit its column, is kept in `extra` under the sender's own key.

    `received` is herald's clock, aware. `odd` tells that decoding already made something inert. `text_max` bounds
    message, exc_text and stack_info, in characters.
    """
    return _Building(fields, received.astimezone(UTC), odd, text_max).record(peer)


def check_is_record(fields: Mapping[str, object]) -> None:
    """Raise NotARecord unless `fields` has the keys that a log record cannot do without."""
    if "msg" not in fields and "message" not in fields:
        raise NotARecord("a record needs `msg` or `message`")
    if not any(key in fields for key in ("name", "levelno", "levelname", "created")):
        raise NotARecord("a record needs at least one of name, levelno, levelname and created")


class _Building:
    """One record while it is being built: what went to which column, what is left for `extra`, what happened."""

    def __init__(self, fields: Mapping[str, object], received: datetime, odd: bool, text_max: int) -> None:
        check_is_record(fields)
        self.received = received
        self.text_max = text_max
        self.odd = odd
        self.was_cut = False
        self.was_replaced = False
        self.columns: dict[str, object] = {}
        self.spelling: dict[str, str] = {}
        self.extra: dict[str, object] = {}
        self._sort(fields)

    def _sort(self, fields: Mapping[str, object]) -> None:
        for key, value in fields.items():
            column = COLUMN_OF.get(key)
            if column is None or column in self.columns or (key == "message" and "msg" in fields):
                self.extra[key] = value
            else:
                self.columns[column] = value
                self.spelling[column] = key

    def record(self, peer: str) -> Record:
        created = self._created()
        levelno, levelname = self._level()
        message, args = self._message()
        return Record(
            created=created,
            received=self.received,
            levelno=levelno,
            levelname=levelname,
            message=message,
            args=args,
            exc_text=self._text("exc_text"),
            stack_info=self._text("stack_info"),
            exc_info=self._object("exc_info"),
            **{column: self._id(column) for column in IDS},
            **{column: self._label(column, ID_MAX) for column in VERSIONS},
            **{column: self._label(column) for column in LABELS if column != "levelname"},
            lineno=self._integer("lineno"),
            process=self._integer("process"),
            thread=self._integer("thread"),
            msecs=self._real("msecs"),
            relativecreated=self._real("relativecreated"),
            peer=storable.cut(storable.clean(peer), ID_MAX),
            # Last: everything above may still move a value to `extra`, or cut one.
            extra=self._extra_json(),
            flags=self._flags(),
        )

    def _misfit(self, column: str) -> None:
        """Keep the original of a value that does not fit its column."""
        self.extra[self.spelling[column]] = self.columns[column]
        self.odd = True

    def _text_of(self, column: str) -> str:
        value = self.columns.get(column)
        if value is None:
            return ""
        if not isinstance(value, str):
            self._misfit(column)
        return self._clean(storable.plain_text(value) if not isinstance(value, str) else value)

    def _clean(self, value: str) -> str:
        if storable.is_clean(value):
            return value
        self.odd = True
        return storable.clean(value)

    def _cut(self, value: str, limit: int) -> str:
        self.was_cut |= len(value) > limit
        return storable.cut(value, limit)

    def _cut_text(self, value: str) -> str:
        self.was_cut |= len(value) > self.text_max
        return storable.cut_text(value, self.text_max)

    def _label(self, column: str, limit: int = LABEL_MAX) -> str:
        return self._cut(self._text_of(column), limit)

    def _id(self, column: str) -> str:
        value = self._label(column, ID_MAX)
        return "" if value == "None" else value

    def _text(self, column: str) -> str:
        return self._cut_text(self._text_of(column))

    def _object(self, column: str) -> str:
        value = self.columns.get(column)
        if value is None:
            return ""
        return self._cut(self._clean(storable.plain_text(value)), LABEL_MAX)

    def _message(self) -> tuple[str, str]:
        """Return message and args; args is empty once they are merged."""
        args = self.columns.get("args")
        if not args:
            return self._kept_once(self._text("message")), ""
        msg = self.columns["message"]
        merged = merge(msg, args, self.text_max) if isinstance(msg, str) else None
        if merged is None:
            return self._kept_once(self._text("message")), self._object("args")
        return self._kept_once(self._cut_text(self._clean(merged))), ""

    def _kept_once(self, message: str) -> str:
        """Drop a second copy of the message: a formatter on the sender's side leaves one under `message`."""
        if self.spelling["message"] != "message" and self.extra.get("message") == message:
            del self.extra["message"]
        return message

    def _integer(self, column: str) -> int | None:
        value = self.columns.get(column)
        if value is None:
            return None
        lowest, highest = INTEGERS[column]
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # a JSON writer with one number type
        if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest:
            return value
        self._misfit(column)
        return None

    def _real(self, column: str) -> float | None:
        value = self.columns.get(column)
        if value is None:
            return None
        number = _as_float(value)
        if number is None:
            self._misfit(column)
        return number

    def _level(self) -> tuple[int, str]:
        name = self._label("levelname")
        number = self._integer("levelno")
        if number is None:
            number = LEVELS.get(name.upper(), 0)
        return number, name or LEVEL_NAMES.get(number, f"Level {number}")

    def _created(self) -> datetime:
        created = moment(self.columns.get("created"), self.received)
        if created is not None:
            return created
        self.was_replaced = True
        if self.columns.get("created") is not None:
            self.extra[self.spelling["created"]] = self.columns["created"]
        return self.received

    def _extra_json(self) -> str:
        if not self.extra:
            return "{}"
        bounded = storable.bounded_json(self.extra)
        self.was_cut |= bounded.was_cut
        self.odd |= bounded.was_changed
        return bounded.text

    def _flags(self) -> str:
        words = (("created", self.was_replaced), ("cut", self.was_cut), ("odd", self.odd))
        return " ".join(word for word, holds in words if holds)


def moment(created: object, received: datetime) -> datetime | None:
    """Return a sender's epoch seconds as a moment in UTC, or None where they are absurd.

    Absurd is what is no finite number, lies before 2000, or more than 24 hours after `received`.
    """
    seconds = _as_float(created)
    if seconds is None or not _EARLIEST <= seconds <= _latest(received):
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _latest(received: datetime) -> float:
    return received.timestamp() + CLOCK_LEAD.total_seconds()


def _as_float(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) else None


class Layout:
    """The columns of records that all have the same keys in the same order, worked out once.

    `Layout(keys).build(values, …)` is `build(dict(zip(keys, values)), …)`, and several times as fast for records
    with nothing odd about them; all others it hands to `build`.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)
        place = {COLUMN_OF[key]: index for index, key in enumerate(keys) if key in COLUMN_OF}
        self._extra = [(key, index) for index, key in enumerate(keys) if key not in COLUMN_OF]
        self.is_usual = (
            {"created", "message", "levelno", "levelname"} <= place.keys()
            and len(place) + len(self._extra) == len(keys) == len(set(keys))
            and len(self._extra) <= 20
        )
        self.is_complete = self.is_usual and not self._extra
        """Whether each key has a column, so that what columns ask is all that is asked."""
        self.is_small = is_small(self.keys)
        if self.is_usual:
            self._arrange(place)

    def _arrange(self, place: Mapping[str, int]) -> None:
        self.checks = [_check_of(COLUMN_OF.get(key)) for key in self.keys]
        self._created, self._levelno, self._levelname = place["created"], place["levelno"], place["levelname"]
        # What is read together is received at one moment: its latest `created` is worked out once.
        self._bound = (EARLIEST, _latest(EARLIEST))
        # A sender's `created` is no column yet; the moment that stands for it comes behind all values.
        pool = [None if column == "created" else column for column in map(COLUMN_OF.get, self.keys)]
        pool += ["created", "received", "extra", "peer"]
        unset = [column for column in Record._fields if column not in pool]
        self._unset = [Record._field_defaults[column] for column in unset]
        self._in_order = _picker([[*pool, *unset].index(column) for column in Record._fields])

    def build(self, values: Sequence[object], *, received: datetime, peer: str = "") -> Record:
        """Return the record of `values`, given in the order of the keys; see `logs.record.build`."""
        if self.is_usual:
            try:
                return self.assemble(list(map(call, self.checks, values)), received, peer)
            except (Unusual, TypeError):  # a list or dict, where a text is looked up, is not hashable
                pass
        return build(dict(zip(self.keys, values, strict=True)), received=received, peer=peer)

    def assemble(self, checked: list[object], received: datetime, peer: str) -> Record:
        """Return the record of values that have passed `checks`, each its own; uses the list up.

        Raises Unusual for a record that `build` must look at.
        """
        at, latest = self._bound
        if at is not received:
            latest = _latest(received)
            self._bound = (received, latest)
        seconds = checked[self._created]
        if type(seconds) is not float or not _EARLIEST <= seconds <= latest or received.tzinfo is not UTC:
            raise Unusual
        if checked[self._levelno] is None or not checked[self._levelname]:
            raise Unusual
        extra = self._extra_json(checked) if self._extra else "{}"
        checked += (datetime.fromtimestamp(seconds, UTC), received, extra, _peers[peer], *self._unset)
        return _make(Record, self._in_order(checked))

    def _extra_json(self, values: Sequence[object]) -> str:
        bounded = storable.bounded_json({key: values[index] for key, index in self._extra})
        if bounded.was_cut or bounded.was_changed:
            raise Unusual
        return bounded.text


@lru_cache(maxsize=256)
def _kept_layout(keys: tuple[str, ...]) -> Layout:
    return Layout(keys)


def layout_of(keys: tuple[str, ...]) -> Layout:
    """Return the Layout of `keys`, worked out once for those that honest senders repeat."""
    return _kept_layout(keys) if is_small(keys) else Layout(keys)


def is_small(keys: Sequence[str]) -> bool:
    """Whether keys may be kept: that is bounded whatever strangers send."""
    return len(keys) <= 64 and sum(map(len, keys)) <= 2_000


# Record._make, without counting the values again for each record.
_make = cast(Callable[[type[Record], Sequence[object]], Record], tuple.__new__)


class Unusual(Exception):
    """Something about a value that `build` must look at."""


class _Known(dict[object, str]):
    """Short texts seen before, as their column keeps them; the same few come with every record.

    Only texts that need nothing done are looked up here; for any other value the lookup raises Unusual.
    """

    def __init__(self, limit: int, blank: str | None = None) -> None:
        super().__init__()
        self._limit = limit
        self._blank = blank
        self._forget()

    def __missing__(self, value: object) -> str:
        if not isinstance(value, str) or len(value) > self._limit or not storable.is_clean(value):
            raise Unusual
        if len(value) <= ID_MAX:
            if len(self) >= 4_096:
                self._forget()
            self[value] = value
        return value

    def _forget(self) -> None:
        self.clear()
        self[None] = ""
        if self._blank is not None:
            self[self._blank] = ""


_ids = _Known(ID_MAX, blank="None")
_versions = _Known(ID_MAX)
_labels = _Known(LABEL_MAX)
_peers = _Known(ID_MAX)


def _usual_text(value: object) -> str:
    if value is None:
        return ""
    if type(value) is not str or len(value) > TEXT_MAX or not storable.is_clean(value):
        raise Unusual
    return value


def _nothing(value: object) -> str:
    if value is not None:
        raise Unusual
    return ""


def _usual_real(value: object) -> object:
    # A greater one may be an integer that a reader of JSON has rounded.
    if (type(value) is float and -(2.0**63) < value < 2.0**63) or value is None:
        return value
    raise Unusual


def _usual_int32(value: object) -> object:
    if (type(value) is int and -(2**31) <= value < 2**31) or value is None:
        return value
    raise Unusual


def _usual_int64(value: object) -> object:
    if (type(value) is int and -(2**63) <= value < 2**63) or value is None:
        return value
    raise Unusual


def _as_it_is(value: object) -> object:
    return value


Check = Callable[[object], object]
"""Returns what a column keeps of a value, or raises Unusual."""

_CHECKS: dict[str, Check] = {
    **dict.fromkeys(IDS, _ids.__getitem__),
    **dict.fromkeys(VERSIONS, _versions.__getitem__),
    **dict.fromkeys(LABELS, _labels.__getitem__),
    **dict.fromkeys(TEXTS, _usual_text),
    **dict.fromkeys(OBJECTS, _nothing),
    **dict.fromkeys(REALS, _usual_real),
    **{column: _usual_int64 if bounds == INT64 else _usual_int32 for column, bounds in INTEGERS.items()},
}


def _check_of(column: str | None) -> Check:
    # `created` is looked at when the record is put together; a value without a column goes to `extra`.
    return _CHECKS.get(column, _as_it_is) if column else _as_it_is


_Picker = Callable[[Sequence[object]], Sequence[object]]


def _picker(indices: Sequence[int]) -> _Picker:
    """Return a function that takes the values at `indices`, in that order."""
    if len(indices) > 1:
        return cast(_Picker, itemgetter(*indices))
    return lambda values: [values[index] for index in indices]
