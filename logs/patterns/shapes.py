"""The shape of a message: its text with numbers, ids, addresses, times and quoted values taken out, and where it was raised.

Pure, and linear in the length of the text, of which no more than the first MESSAGE_READ characters are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from logs.patterns.tracebacks import Raised, raised
from logs.patterns.words import shape_words

MESSAGE_READ = 1_000
JSON_READ = 16_000
NAMES_SHOWN = 20
FIRST_LINES = 40
"""A message of several lines is known by the first that hold this many characters together."""
TEMPLATE_MAX = 500


@dataclass(frozen=True, slots=True)
class Pattern:
    """The shape of a message.

    `template` is for people: `payment <num> failed after <duration>`. `key` (32 hexadecimal digits) is for comparing: it
    does not tell kinds of placeholders apart, nor one from several in a row, so that an id which happens to consist of
    digits, or a list one longer, changes nothing. `exception` and `frame` (`shop/cart.py in add`) are empty where there is
    no traceback.
    """

    key: str
    template: str
    exception: str = ""
    frame: str = ""


def pattern_of(message: str, exc_text: str = "", *, own_roots: tuple[str, ...] = ()) -> Pattern:
    """Return the pattern of a message and its traceback; never raises.

    A frame is a program's own when its file lies below one of `own_roots`, or, where none are given, neither in
    site-packages nor in the standard library.
    """
    head, mark, tail = message.partition("Traceback (most recent call last):")
    if mark and not exc_text:
        message, exc_text = head, mark + tail
    where = raised(exc_text, own_roots) if exc_text else Raised()
    template = shape(message)
    return Pattern(_key(template, where), template, where.exception, where.frame)


SLOTS = "num|id|ip|host|email|url|path|time|duration|size|version|address|value|data"
"""What stands for what varies, between angle brackets."""
_SLOTS = re.compile(rf"(?:<(?:{SLOTS})>[,;]? ?)++")


def _key(template: str, where: Raised) -> str:
    coarse = _SLOTS.sub("<> ", template).rstrip()
    text = f"{coarse}\0{where.exception}\0{where.frame}"
    return blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()


# --- A message --------------------------------------------------------------------------------------------------------

_COLOURS = re.compile(r"\x1b\[[0-9;]*+[A-Za-z]")


def shape(message: str) -> str:
    """Return `message` with what varies replaced by `<num>`, `<id>`, `<time>` and the like, in one line."""
    if message[:1] == "{" and (said := _said_in_json(message)) is not None:
        message, names = said
        if not message:
            return names[:TEMPLATE_MAX]
    text = _beginning(message)
    if "\x1b" in text:
        text = _COLOURS.sub("", text)
    if _MARKS.search(text) is not None:
        text = _without_values(text)
    return shape_words(text.split())[:TEMPLATE_MAX]


def _beginning(text: str) -> str:
    """Return what a message is known by: its first lines."""
    text = text[:MESSAGE_READ].lstrip()
    if "\n" not in text:
        return text
    taken = ""
    for line in text.splitlines():
        taken += line.strip() + " "
        if len(taken) > FIRST_LINES:
            break
    return taken


_TELLING = ("message", "msg", "event", "error", "err", "exception", "reason")


def _said_in_json(message: str) -> tuple[str, str] | None:
    """Return the text in a message that is a JSON object, and the names of what is in it; None for any other message."""
    if len(message) > JSON_READ or message.rstrip()[-1:] != "}":
        return None
    try:
        found: dict[str, Any] = orjson.loads(message)
    except orjson.JSONDecodeError:
        return None
    texts = (found[name] for name in _TELLING if isinstance(found.get(name), str))
    names = ", ".join(sorted(found)[:NAMES_SHOWN])
    # JSON can spell what no database takes.
    return next(texts, "").replace("\0", " "), "{" + " ".join(names.replace("\0", " ").split()) + "}"


# --- Quoted values and written data structures, which hold spaces -----------------------------------------------------

_MARKS = re.compile(r"['\"`“„«‘‹\[{(<]")
_CLOSERS = {"'": "'", '"': '"', "`": "`", "“": "”", "„": "“”", "«": "»", "‘": "’", "‹": "›"}
_BRACKET_OR_QUOTE = re.compile(r"['\"]|[\[{(]|[\]})]")
_DATA = {
    # A dict or a set; text in braces has no colon behind its first word.
    "{": re.compile(r"\{\s*+(?:[}'\"\d-]|[\w.]++\s*+[:=,])"),
    # A list; [error] or [worker-1] is a word in brackets, and sshd[123] a process.
    "[": re.compile(r"\[\s*+(?:[\]'\"{(\[<]|-?\d[\d.]*+\s*+[,\]]|[\w.]++\s*+,)"),
    # A tuple, or SQL's IN (7); (attempt 3 of 5) is text.
    "(": re.compile(r"\(\s*+(?:['\"]|-?\d[\d.]*+\s*+[,)]|(?:None|True|False)\s*+,)"),
}
_OBJECT = re.compile(r"<([A-Za-z_][\w.]*+)[ :\[(][^<>\n]*+>")
# What stands behind these is the message itself, also where it is quoted.
_TELLS = re.compile(r"(?:^|\W)(?:message|msg|event|error|err|exception|reason|detail|cause)\s?=$", re.IGNORECASE)
_CLOSERS_TRIED = 4


def _without_values(text: str) -> str:
    """Return `text` with quoted values, written lists, dicts and objects replaced."""
    parts: list[str] = []
    at = 0
    for begin, end, said in _values(text):
        parts += (text[at:begin], said)
        at = end
    return "".join([*parts, text[at:]])


def _values(text: str) -> Iterator[tuple[int, int, str]]:
    at = 0
    open_for_ever: set[str] = set()
    for mark in _MARKS.finditer(text):
        begin, sign = mark.start(), mark[0]
        if begin < at or sign in open_for_ever:
            continue
        if sign == "<":
            found = _OBJECT.match(text, begin)
            if found is not None:
                at = found.end()
                yield begin, at, f"<{found[1]} …>"
            continue
        is_data = sign in _DATA
        end = _end_of_data(text, begin) if is_data else _end_of_quote(text, begin)
        if end < 0:
            # Nothing closes this one, nor any that follows: looking again for each would take long.
            open_for_ever.update(_DATA if is_data else sign)
        elif end:
            at = end
            yield begin, end, "<data>" if is_data else "<value>"


def _end_of_quote(text: str, begin: int) -> int:
    """Return where a quotation ends; 0 where none begins, -1 where nothing closes it."""
    before = text[begin - 1] if begin else " "
    if before.isalnum() and not (before in "bBuUrR" and (begin == 1 or not text[begin - 2].isalnum())):
        return 0  # an apostrophe
    if before == "=" and _TELLS.search(text, max(0, begin - 20), begin):
        return 0
    closers = _CLOSERS[text[begin]]
    at = begin
    for _ in range(_CLOSERS_TRIED):
        at = min((found for closer in closers if (found := text.find(closer, at + 1)) > 0), default=-1)
        if at < 0:
            return -1
        behind = text[at + 1 : at + 2]
        if text[at - 1] != "\\" and not behind.isalnum():
            whole = begin == 0 and at + 1 >= len(text.rstrip())
            return 0 if whole else at + 1
    return 0


def _end_of_data(text: str, begin: int) -> int:
    """Return where a written list, tuple, set or dict ends; 0 where none begins, -1 where nothing closes it."""
    sign = text[begin]
    if _DATA[sign].match(text, begin) is None:
        return 0
    before = text[begin - 1] if begin else ""
    if sign == "[" and not begin:
        return 0  # a prefix such as [17]
    if sign != "{" and (before.isalnum() or before in "_)]"):
        return 0  # a call, an index
    depth = 0
    quoted = ""
    for found in _BRACKET_OR_QUOTE.finditer(text, begin):
        kind = found[0]
        if quoted:
            if kind == quoted and text[found.start() - 1] != "\\":
                quoted = ""
        elif kind in "'\"":
            quoted = kind
        elif kind in "[{(":
            depth += 1
        else:
            depth -= 1
            if not depth:
                return found.end()
    # What was cut off would have closed it.
    return len(text) if len(text) >= MESSAGE_READ - 1 else -1
