"""What a policy takes out of a row is absent from all that leaves; the rest of the row stays as it was."""

from __future__ import annotations

import hmac
import html
import json
import re
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, quote_plus

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.policy import FIELDS, HASH_MARK, MASK, UNTOUCHED, BadPolicy, Policy
from logs.tail import NAMES

KEY = b"sixteen bytes or more"
NUMBERS = {"levelno", "lineno", "process", "thread", "msecs", "relativecreated"}


def row(**changes: object) -> dict[str, Any]:
    """Return a row as the tail gives it."""
    moment = datetime(2026, 11, 22, 13, tzinfo=UTC)
    blank = dict.fromkeys(NAMES, "")
    return {
        **blank,
        **{"id": 7, "created": moment, "received": moment, "system_id": "shop", "sub_system_id": "web-3"},
        **{"name": "shop.cart", "levelno": 20, "levelname": "INFO", "message": "order is in", "lineno": 42},
        **{"pathname": "/srv/shop/cart.py", "filename": "cart.py", "module": "cart", "funcname": "add"},
        **{"process": 4711, "thread": 140713635085184, "msecs": 250.0, "relativecreated": 12.5},
        **{"extra": {}, "origin": [], "flags": "", "peer": "192.0.2.7"},
        **changes,
    }


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    assert list(before) == list(after)
    return {name: after[name] for name in before if after[name] != before[name]}


def texts(value: object) -> Iterator[str]:
    """Yield every text, key and number that leaves."""
    if isinstance(value, dict):
        yield from (key for key in value)
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield HASH_MARK.sub(MASK, value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield repr(value)


def leaving(after: dict[str, Any]) -> str:
    """Return all that leaves, columns that are never touched aside, without upper case."""
    return "\1".join(text for name in after if name not in UNTOUCHED for text in texts(after[name])).casefold()


# --- What may be named


def test_every_spelling_and_alias_names_the_column():
    policy = Policy.parse(
        dropped="SYSTEM_ID, funcName\nline", masked="host,user1 , MSG", hashed="product, extra.a.b", key=KEY
    )

    assert policy.dropped == ("system_id", "funcname", "lineno")
    assert policy.masked == ("sub_system_id", "user_spec_1", "message")
    assert policy.hashed == ("produkt_id", "extra.a.b")
    assert Policy(dropped=["line", "lineno"]).dropped == ("lineno",)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({"dropped": "userid"}, "there is no field `userid`; there are api_version, .*, extra, .* and extra.KEY"),
        ({"dropped": "created"}, "`created` cannot be removed: a record needs it"),
        ({"masked": "level"}, "`level` cannot be removed"),
        ({"dropped": "received"}, "`received` is herald's own and is never sent"),
        ({"dropped": "id"}, "`id` is herald's own"),
        ({"dropped": "message"}, "`message` cannot be dropped, since a record needs it; it can be masked or hashed"),
        ({"dropped": "origin"}, "`origin` cannot be dropped, since its length is what ends loops"),
        ({"masked": "process"}, "`process` is a number: it has no room for a mark, and can only be dropped"),
        ({"dropped": "system", "masked": "SYSTEM_ID"}, "`system_id` is to be dropped and masked: name it in one list"),
        ({"dropped": "extra", "masked": "extra.a"}, "`extra.a` lies within `extra`, which is dropped as a whole"),
        ({"masked": "extra.a.b, extra.a"}, "`extra.a.b` lies within `extra.a`"),
        ({"dropped": "extra."}, "`extra.` names no key"),
        ({"dropped": "extra.a..b"}, "names no key"),
        ({"hashed": "user1"}, "a key of at least 16 bytes; this one has 0"),
    ],
)
def test_list_that_cannot_be_kept_is_refused_in_words(lists: dict[str, str], said: str):
    with pytest.raises(BadPolicy, match=said):
        Policy.parse(**lists)  # type: ignore[arg-type]


def test_key_does_not_show_in_what_is_printed_of_a_policy():
    assert "sixteen" not in repr(Policy(hashed=("name",), key=KEY))


# --- Fields


def test_empty_policy_changes_nothing_and_gives_a_new_row():
    before = row(extra={"a": 1})

    after, said = Policy().apply(before)

    assert (after, said) == (before, [])
    assert after is not before
    assert Policy().is_empty
    assert not Policy(dropped=("peer",)).is_empty


def test_columns_are_emptied_masked_and_hashed():
    policy = Policy.parse(dropped="user1, process, peer", masked="user2", hashed="product", key=KEY)
    before = row(user_spec_1="anna", user_spec_2="bert", produkt_id="p-1")

    after, said = policy.apply(before)

    expected = "h:" + hmac.new(KEY, b"p-1", "sha256").hexdigest()[:24]
    assert changed(before, after) == {
        **{"user_spec_1": "", "process": None, "peer": "", "user_spec_2": MASK, "produkt_id": expected}
    }
    assert said == [
        *("user_spec_1 dropped", "process dropped", "peer dropped", "user_spec_2 masked", "produkt_id hashed")
    ]
    assert policy.mark("p-1") == expected


def test_field_without_a_value_is_not_listed():
    policy = Policy.parse(dropped="user1, extra.a, taskname", masked="extra.b", hashed="product, origin", key=KEY)
    before = row(extra={"a": None, "b": "", "c": 1})

    after, said = policy.apply(before)

    assert said == []
    assert after["extra"] == {"b": "", "c": 1}


def test_nested_keys_are_found_in_lists_and_under_names_with_dots():
    policy = Policy.parse(dropped="extra.orders.card", masked="extra.a.b", hashed="extra.who", key=KEY)
    extra = {
        "orders": [{"card": "4111-1", "n": 1}, {"card": "4111-2"}, "text"],
        "a.b": "first",
        "a": {"b": ["second", 3], "c": "kept"},
        "who": {"name": "anna", "age": 33},
    }

    after, said = policy.apply(row(extra=extra))

    assert after["extra"] == {
        "orders": [{"n": 1}, {}, "text"],
        "a.b": MASK,
        "a": {"b": MASK, "c": "kept"},
        "who": policy.mark({"age": 33, "name": "anna"}),
    }
    assert said == ["extra.orders.card dropped", "extra.a.b masked", "extra.who hashed"]


def test_all_of_extra_can_be_removed():
    extra = {"card": "4111-1", "n": None, "nested": {"a": [1, "two"]}}

    assert Policy(dropped=("extra",)).apply(row(extra=extra))[0]["extra"] == {}
    assert Policy(masked=("extra",)).apply(row(extra=extra))[0]["extra"] == {"card": MASK, "n": None, "nested": MASK}
    assert Policy(masked=("extra",)).apply(row(extra=extra))[1] == ["extra masked"]


def test_chain_of_bridges_keeps_its_length():
    origin = [{"bridge": "alpha", "skew": 1.5}, {"bridge": "beta"}]

    masked, said = Policy(masked=("origin",)).apply(row(origin=origin, message="from Alpha"))
    hashed, _ = Policy(hashed=("origin",), key=KEY).apply(row(origin=origin))

    assert masked["origin"] == [{"bridge": MASK, "skew": MASK}, {"bridge": MASK}]
    assert masked["message"] == f"from {MASK}"
    assert said == ["origin masked", "message scrubbed"]
    assert hashed["origin"][1] == {"bridge": Policy(hashed=("origin",), key=KEY).mark("beta")}


def test_what_a_sender_wrote_under_a_spelling_of_the_column_goes_with_it():
    extra = {"USER_SPEC_1": {"id": 12345}, "user_spec_1~2": "twin", "User_Spec_1": 5, "other": "kept"}

    dropped, said = Policy(dropped=("user1",)).apply(row(user_spec_1='{"id":12345}', extra=extra))
    masked, _ = Policy(masked=("user1",)).apply(row(extra=extra))

    assert dropped["extra"] == {"other": "kept"}
    assert said == ["user_spec_1 dropped"]
    assert masked["extra"] == {"USER_SPEC_1": MASK, "user_spec_1~2": MASK, "User_Spec_1": MASK, "other": "kept"}


def test_equal_values_give_equal_marks_whatever_field_or_type_holds_them():
    policy = Policy.parse(hashed="user1, extra.card, extra.real", key=KEY)

    after, _ = policy.apply(row(user_spec_1="4111", extra={"card": 4111, "real": 4111.0}))

    assert {after["user_spec_1"], after["extra"]["card"], after["extra"]["real"]} == {policy.mark("4111")}
    assert HASH_MARK.fullmatch(policy.mark("4111"))
    assert policy.mark("4111") != Policy(hashed=("user1",), key=KEY + b"!").mark("4111")


def test_row_that_was_given_is_not_changed():
    before = row(user_spec_1="anna", message="anna", extra={"a": {"anna": ["anna"]}}, origin=[{"bridge": "anna"}])
    copy = deepcopy(before)

    Policy.parse(masked="user1, extra.a, origin").apply(before)

    assert before == copy


# --- Everything else


@pytest.mark.parametrize(
    ("secret", "text", "left"),
    [
        ("anna", "Anna met ANNA; johanna too", "••• met •••; joh••• too"),
        ("web-4", "http://web-4:80/", "http://•••:80/"),
        ('a "b"', r'{"user": "a \"b\""}', '{"user": "•••"}'),
        ('a "b"', json.dumps(json.dumps({"user": 'a "b"'})), r'"{\"user\": \"•••\"}"'),
        ("müller", r'{"user": "M\u00fcller"}', '{"user": "•••"}'),
        ("müller", r"b'm\xc3\xbcller' 'm\xfcller'", "b'•••' '•••'"),
        ("müller", "mu\u0308ller", "•••"),
        ("mu\u0308ller", "MÜLLER", "•••"),
        ("straße 1", "STRASSE 1, STRAẞE 1", "•••, •••"),
        ("strasse", "an der Straße links", "an der ••• links"),
        ("kus", "ein Kuß", "ein •••"),
        ("a b&c", "?q=a%20b%26c&r=a+b%26c", "?q=•••&r=•••"),
        ("a b/c", "?q=a%20b/c&r=a%20b%2fc", "?q=•••&r=•••"),
        ("a<b>'c'", "<p>a&lt;b&gt;&#39;c&#39; a&lt;b&gt;'c'</p>", "<p>••• •••</p>"),
        ("a/b", r'{"u":"a\/b"}', '{"u":"•••"}'),
        ("  anna ", "it is anna.", "it is •••."),
        ("line\nend", r'File {"t": "line\nend"}', 'File {"t": "•••"}'),
        ("12345", "id 12345, 123456, 912345, x12345y, 9.12345", "id •••, 123456, 912345, x•••y, 9.•••"),
        ("4917012345", "call +4917012345 or 004917012345", "call +••• or 00•••"),
        ("-1.5", "at -1.5 and -1.55", "at ••• and -1.55"),
        ("abcd", "abcdabcd", "••••••"),
    ],
)
def test_value_is_found_in_the_form_in_which_other_texts_hold_it(secret: str, text: str, left: str):
    policy = Policy(masked=("user1",))

    after, said = policy.apply(row(user_spec_1=secret, message=text, extra={"k": [text]}))

    assert (after["message"], after["extra"]) == (left, {"k": [left]})
    assert said == ["user_spec_1 masked", "message scrubbed", "extra scrubbed"]


@pytest.mark.parametrize("harmless", ["ab", "True", "none", "WARNING", " x ", "\n\n\n"])
def test_short_and_common_words_are_removed_from_their_own_field_only(harmless: str):
    before = row(user_spec_1=harmless, message=f"say {harmless} again", levelname="WARNING")

    after, said = Policy(masked=("user1",)).apply(before)

    assert changed(before, after) == {"user_spec_1": MASK}
    assert said == ["user_spec_1 masked"]


def test_keys_numbers_and_other_columns_that_hold_a_removed_value_are_scrubbed():
    policy = Policy.parse(dropped="extra.customer", hashed="user1", key=KEY)
    extra = {
        "customer": {"number": 4711, "mails": {"anna@example.org": True}},
        "by": {"anna@example.org": 1, f"{MASK}": 2, "n": 4711, "real": 4711.0, "longer": 47110},
        "paid by 4711": "yes",
    }
    before = row(user_spec_1="cart", extra=extra, summary="cart of 4711")

    after, said = policy.apply(before)

    mark = policy.mark("cart")
    assert after["extra"] == {
        "by": {MASK: 1, f"{MASK}~2": 2, "n": MASK, "real": MASK, "longer": 47110},
        f"paid by {MASK}": "yes",
    }
    assert after["summary"] == f"{mark} of {MASK}"
    assert (after["name"], after["filename"], after["module"]) == (f"shop.{mark}", f"{mark}.py", mark)
    assert after["process"] is None
    assert (after["thread"], after["levelno"], after["lineno"]) == (140713635085184, 20, 42)
    assert said[:2] == ["extra.customer dropped", "user_spec_1 hashed"]
    assert set(said[2:]) == {
        f"{name} scrubbed" for name in ("extra", "summary", "name", "filename", "pathname", "module", "process")
    }


def test_names_of_keys_within_a_removed_value_are_no_values():
    after, _ = Policy(dropped=("extra.order",)).apply(
        row(extra={"order": {"total": 1, "in": 2}}, message="total is in")
    )

    assert after["message"] == "total is in"


def test_value_that_herald_cut_is_found_whole():
    whole = "token-" + "x" * 300

    after, _ = Policy(masked=("user1",)).apply(row(user_spec_1=whole[:199] + "…", message=f"got {whole} today"))

    assert after["message"] == f"got {MASK} today"


def test_values_that_overlap_are_both_gone():
    after, _ = Policy.parse(masked="user1, user2").apply(
        row(user_spec_1="anna", user_spec_2="nadine", message="annadine, annadinexanna")
    )

    assert after["message"] == f"{MASK}, {MASK}x{MASK}"


def test_value_within_another_leaves_nothing_of_it_and_has_no_mark_of_its_own():
    policy = Policy.parse(hashed="user1, user2, product", key=KEY)
    names = {"user_spec_1": "anna", "user_spec_2": "anna lena maria", "produkt_id": "lena"}

    after, _ = policy.apply(row(**names, message="(anna lena maria)"))

    assert after["message"] == f"({policy.mark('anna lena maria')})"


def test_number_is_found_however_it_is_written():
    after, _ = Policy(dropped=("extra.a",)).apply(row(extra={"a": 10**16, "b": 1e16, "c": 10**16 + 1, "d": 3e17}))

    assert after["extra"] == {"b": MASK, "c": 10**16 + 1, "d": 3e17}


def test_columns_that_no_record_can_do_without_are_never_scrubbed():
    before = row(id=4711, levelno=4711, flags="odd", user_spec_1="odd", message="4711 is odd")

    after, _ = Policy.parse(dropped="process, user1").apply(before)

    assert changed(before, after) == {"process": None, "user_spec_1": "", "message": f"{MASK} is {MASK}"}


def test_mark_is_no_place_of_a_value():
    policy = Policy.parse(dropped="user2", hashed="user1", key=KEY)

    after, said = policy.apply(row(user_spec_1="anna", user_spec_2=policy.mark("anna")[4:9]))

    assert after["user_spec_1"] == policy.mark("anna")
    assert said == ["user_spec_2 dropped", "user_spec_1 hashed"]


def test_hash_marks_do_not_blow_a_text_up():
    policy = Policy(hashed=("user1",), key=KEY)

    short, _ = policy.apply(row(user_spec_1="abc", message="abc " * 3))
    long, _ = policy.apply(row(user_spec_1="abc", message="abc " * 10_000))

    assert short["message"] == (policy.mark("abc") + " ") * 3
    assert long["message"] == f"{MASK} " * 10_000


def test_marks_of_a_bridge_before_this_one_stay():
    mark = Policy(hashed=("user1",), key=KEY).mark("anna")
    before = row(user_spec_1=mark, user_spec_2=MASK, message=f"by {mark}")

    hashed, said = Policy.parse(hashed="user1, user2", key=KEY[::-1]).apply(before)
    masked, _ = Policy.parse(masked="user1").apply(before)

    assert (hashed, said) == (before, [])
    assert (masked["user_spec_1"], masked["message"]) == (MASK, f"by {mark}")


def test_row_that_asks_for_too_much_is_masked_whole_and_in_time():
    secrets = [f"secret-{number:05}" for number in range(18_000)]
    before = row(extra={"all": secrets, "by": {secrets[1]: 1}}, exc_text="\n".join(secrets), message=secrets[0])

    start = time.perf_counter()
    after, said = Policy(dropped=("extra.all",)).apply(before)
    taken = time.perf_counter() - start

    assert "secret" not in leaving(after)
    assert changed(before, after) == {"extra": {MASK: MASK}, "exc_text": MASK, "message": MASK}
    assert said == ["extra.all dropped", "exc_text scrubbed", "extra scrubbed", "message scrubbed"]
    assert taken < 2


@pytest.mark.parametrize("text", ["a" * 262_144, "ab" * 131_072, "ß" * 262_144, "\\" * 262_144])
def test_text_made_to_be_searched_slowly_costs_little(text: str):
    start = time.perf_counter()
    Policy.parse(masked="extra.a, extra.b, user1").apply(
        row(message=text, extra={"a": text[:60_000], "b": text[:7] + "b"}, user_spec_1=text[:199] + "…")
    )

    assert time.perf_counter() - start < 2


# --- Any row, any policy

LETTERS = "aAbzZ019 .-_@/\\\"'%&<+üÜßéж你🐍\n\t{"
secrets = st.text(st.sampled_from(LETTERS), min_size=1, max_size=12) | st.integers(-(10**18), 10**18).map(str)
FORMS: list[Callable[[str], str]] = [
    str,
    str.upper,
    str.lower,
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: json.dumps(json.dumps(text))[3:-3],
    lambda text: repr(text)[1:-1],
    lambda text: ascii(text)[1:-1],
    quote,
    lambda text: quote(text, safe=""),
    quote_plus,
    html.escape,
]
TEXT_COLUMNS = [name for name in FIELDS if name not in NUMBERS | {"extra", "origin"}]
PATHS = ("extra", "extra.a", "extra.b", "extra.a.b", "extra.list.b")
fillers = st.text(st.sampled_from("qwxy ,:\n"), max_size=5)
ways = st.sampled_from(["dropped", "masked", "hashed"])


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    lists: dict[str, list[str]] = {"dropped": [], "masked": [], "hashed": []}
    names = draw(st.lists(st.sampled_from([*FIELDS, *PATHS]), unique=True, min_size=1, max_size=4))
    for name in names:
        way = draw(ways)
        if name in NUMBERS:
            way = "dropped"
        elif name in ("message", "levelname", "origin"):
            way = "masked"
        if not any(name.startswith(f"{other}.") or other.startswith(f"{name}.") for other in names if other != name):
            lists[way].append(name)
    return Policy.parse(**{way: ", ".join(listed) for way, listed in lists.items()}, key=KEY)


@st.composite
def planted(draw: st.DrawFn, secret: str) -> str:
    return draw(fillers) + draw(st.sampled_from(FORMS))(secret) + draw(fillers)


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """A row with one secret in several fields, by itself and in other texts, in several forms."""
    secret = draw(secrets)
    text = st.just(secret) | planted(secret) | fillers
    leaf = (
        text
        | st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
    )
    if re.fullmatch("-?[0-9]+", secret):
        leaf |= st.just(int(secret)) | st.just(float(secret))
    keys = text | st.sampled_from(["a", "b", "list", "USER_SPEC_1", "message"])
    values = st.recursive(
        leaf, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
    )
    filled = draw(st.fixed_dictionaries({}, optional=dict.fromkeys(TEXT_COLUMNS, text)))
    extra = draw(st.dictionaries(keys, values, max_size=4))
    origin = draw(st.lists(st.dictionaries(st.sampled_from(["bridge", "at"]), text, min_size=1), max_size=2))
    return row(**filled, extra=extra, origin=origin)


def removed_from(before: dict[str, Any], after: dict[str, Any], policy: Policy) -> set[str]:
    """Return the texts a policy must have removed, found without its help: by what it lists."""
    found: set[str] = set()
    for name in (*policy.dropped, *policy.masked, *policy.hashed):
        if not name.startswith("extra"):
            found |= set(leaves(before[name]))
        elif name == "extra":
            found |= {leaf for item in before["extra"].values() for leaf in leaves(item)}
        else:
            found |= set(leaves_at(before["extra"], name.split(".")[1:]))
    return {text.strip() for text in found if is_searched(text.strip())}


def is_searched(text: str) -> bool:
    short_number = re.fullmatch(r"[-+]?[0-9]+(\.[0-9]+)?", text) and sum(map(str.isdigit, text)) < 7
    return len(text) >= 3 and not short_number and text.casefold() not in {"info", "inf", "none"}


def leaves(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def leaves_at(value: object, names: list[str]) -> Iterator[str]:
    if not names:
        yield from leaves(value)
    elif isinstance(value, list):
        for item in value:
            yield from leaves_at(item, names)
    elif isinstance(value, dict) and names[0] in value:
        yield from leaves_at(value[names[0]], names[1:])


@given(rows(), policies())
def test_no_removed_value_leaves_in_any_form(before: dict[str, Any], policy: Policy):
    after, _ = policy.apply(before)

    left = leaving(after)
    sent = [
        json.dumps(
            [text for name in after if name not in UNTOUCHED for text in texts(after[name])], ensure_ascii=ascii_only
        )
        for ascii_only in (True, False)
    ]
    for secret in removed_from(before, after, policy):
        for form in FORMS:
            assert form(secret).casefold() not in left
        for text in sent:
            assert json.dumps(secret)[1:-1] not in text
            assert json.dumps(secret, ensure_ascii=False)[1:-1] not in text


@given(rows(), policies())
def test_policy_changes_nothing_of_its_own_result(before: dict[str, Any], policy: Policy):
    after, _ = policy.apply(before)

    again, said = policy.apply(after)

    assert (again, said) == (after, [])


@given(rows(), policies())
def test_fields_that_are_neither_listed_nor_reported_stay_as_they_were(before: dict[str, Any], policy: Policy):
    after, said = policy.apply(before)
    reported = {words.split()[0].split(".")[0] for words in said}
    # What a sender wrote for a listed column, or what is listed and holds nothing, goes from `extra` without a word.
    quiet = {"extra"} if before["extra"] else set()

    assert {name for name in before if after[name] != before[name]} <= reported | quiet
    assert len(said) == len(set(said))


@given(rows(), policies())
def test_result_is_a_row_that_can_be_stored(before: dict[str, Any], policy: Policy):
    after, _ = policy.apply(before)

    assert list(after) == list(before)
    for name, value in after.items():
        if name in NUMBERS:
            assert value is None or type(value) is type(before[name])
        else:
            assert type(value) is type(before[name])
    assert orjson.loads(orjson.dumps(after["extra"])) == after["extra"]
    assert len(after["origin"]) == len(before["origin"])
    assert all(after[name] == before[name] for name in UNTOUCHED if name in before)
