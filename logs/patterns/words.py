"""The shape of a single word of a message, and what becomes of several that belong together, such as a date's.

Most words of a program come again and again: so their shapes are remembered.
"""

from __future__ import annotations

import re
from functools import lru_cache

WORD_REMEMBERED = 64


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MONTHS = _set("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec")
_DAYS = _set("Mon Tue Wed Thu Fri Sat Sun")
_ZONES = _set("UTC GMT Z CET CEST EST EDT PST PDT AM PM am pm")
_DURATION_WORDS = _set(
    "ns us µs μs ms msec s sec secs second seconds min mins minute minutes h hr hrs hour hours day days week weeks"
)
_SIZE_WORDS = _set("B KB kB MB GB TB KiB MiB GiB TiB byte bytes Bytes")
_UNITS = dict.fromkeys(_DURATION_WORDS, "<duration>") | dict.fromkeys(_SIZE_WORDS, "<size>")
_JOINED = _MONTHS | _DAYS | _ZONES | _UNITS.keys()
_OFFSET = re.compile(r"[+-]\d{4}\b")
_YEAR_MAY_FOLLOW = "\0"
_TAIL = ")]}>\"'`,;:!?.…”’»›"
_LEAD = "([{<\"'`,;!?“‘«‹„"


def shape_words(words: list[str]) -> str:
    """Return words shaped and joined by spaces; dates and quantities that were written in several words become one."""
    said: list[str] = []
    for word in words:
        shaped = _remembered(word) if len(word) <= WORD_REMEMBERED else _shape_word(word)
        if not said or (shaped is word and word.isalpha() and word not in _JOINED) or not _joins(said, word, shaped):
            said.append(shaped)
    return " ".join(said).replace(_YEAR_MAY_FOLLOW, "").replace("[ <", "[<")


def _joins(said: list[str], word: str, shaped: str) -> bool:
    """Whether a word was made one with what stands before it."""
    last = said[-1]
    core = shaped.rstrip(_TAIL)
    if core in _UNITS and last.endswith("<num>"):
        said[-1] = last[:-5] + _UNITS[core] + shaped[len(core) :]
        return True
    if shaped.startswith("<"):
        return _joins_slot(said, word, shaped)
    if last == "<time>" and core in _ZONES:
        said[-1] += shaped[len(core) :]
        return True
    return False


def _joins_slot(said: list[str], word: str, shaped: str) -> bool:
    last = said[-1].rstrip(",")
    if shaped.startswith("<time>"):
        if last == "<num>" and len(said) > 1 and said[-2] in _MONTHS:
            del said[-2:]  # Nov 22 14:03:00
            if said and said[-1].rstrip(",") in _DAYS:
                said.pop()
            said.append(_YEAR_MAY_FOLLOW + shaped)
            return True
        if last in _DAYS:
            said[-1] = shaped
            return True
        if last.endswith("<time>"):
            said[-1] = last[:-6] + shaped  # a day and its time
            return True
    if shaped.startswith("<num>"):
        behind = shaped[5:]
        if last[:1] == _YEAR_MAY_FOLLOW or (last.endswith("<time>") and _OFFSET.match(word) is not None):
            said[-1] = last + behind
            return True
        if last in _MONTHS and len(said) > 1 and said[-2] == "<num>":
            said[-2:] = ["<time>" + behind]  # 22 Nov 2026
            return True
    if said[-1] in (shaped.rstrip(",;") + ",", shaped.rstrip(",;") + ";"):
        said[-1] = shaped  # one more of a list
        return True
    return False


_WORTH_A_LOOK = re.compile(r"[\d/@=\\:.]")
_KINDS = re.compile(
    r"""
      (?P<url>[A-Za-z][A-Za-z0-9+.-]{1,20}+://\S++ | www\.\S++ | data:[a-z]++/\S++ | mailto:\S++)
    | (?P<path>(?:~|\.{1,2})?/\S*+ | [A-Za-z]:\\\S*+ | \\\\\S++ | ~\w*+/\S*+)
    | (?P<email>[\w.+%-]{1,64}+@[\w.-]{1,255}+)
    | (?P<id>[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12} | [0-7][0-9A-HJKMNP-TV-Z]{25})
    | (?P<address>0[xX][0-9A-Fa-f]++ | [0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5,7})
    | (?P<time>
          \d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T_]\d{1,2}:?\d{2}(?::?\d{2}(?:[.,]\d{1,9})?)?)?(?:Z|[+-]\d{2}:?\d{2})?
        | \d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?
        | \d{1,2}/[A-Z][a-z]{2}/\d{4}(?::\d{2}:\d{2}:\d{2})?
        | \d{1,2}-[A-Z][a-z]{2}-\d{2,4}
        | \d{1,2}/\d{1,2}/\d{2,4}
        | \d{1,2}\.\d{1,2}\.\d{4}
        | \d{8}T\d{4,6}(?:\.\d{1,6})?Z?
        | P(?:\d+[YMWD])*+T(?:\d+(?:\.\d+)?[HMS])++
      )
    | (?P<ip>
          (?:\d{1,3}\.){3}\d{1,3}(?:/\d{1,2})?(?:[:\#]\d{1,5})?
        | (?=(?:[0-9A-Fa-f]{1,4}:){7}|[0-9A-Fa-f:]{0,37}?::)[0-9A-Fa-f:]{2,39}+(?:\d{1,3}(?:\.\d{1,3}){3})?(?:%\w++)?
          (?:/\d{1,3})?(?:\]:\d{1,5})?
      )
    | (?P<duration>
          [-+~]?(?:\d++(?:\.\d++)?(?:ns|us|µs|μs|ms|msecs?|secs?|seconds?|s|mins?|minutes?|m|hours?|hrs?|h|days?|d|weeks?|w))++
      )
    | (?P<size>[-+~]?\d++(?:[.,]\d++)*+(?:(?:[kKMGTP]i?)?(?:B|b|bytes?)|[kKMGTP]i?)(?:/s)?)
    | (?P<version>v?\d++(?:\.\d++){2,}+(?:[-.+_~]?(?:a|b|rc|alpha|beta|dev|post|pre|snapshot|final|release)[-.]?\d*+)?
                  (?:[-+~][\w.~-]++)? )
    | (?P<num>[-+~±$€£¥\#№]{0,2}\d++(?:[.,_'’]\d++)*+\.?(?:[eE][-+]?\d++)?[%‰°€$£¥x×]?[CF]?(?:st|nd|rd|th)?
              (?:(?:/|-|–|\.\.|\.\.\.|x|×)[-+]?\d++(?:[.,]\d++)*+%?)*+ )
    | (?P<host>
          (?:[A-Za-z0-9_](?:[A-Za-z0-9_-]*+)\.)++
          (?:com|net|org|io|dev|app|cloud|edu|gov|int|info|biz|de|eu|uk|us|fr|ch|at|nl|pl|it|es|jp|cn|ru|br|in
             |local|localdomain|internal|lan|intranet|corp|home|test|example|invalid|svc)(?::\d{1,5})?
        | localhost(?::\d{1,5})?
      )
    """,
    re.VERBOSE,
)
_FILE = re.compile(
    r"(?:[\w@+-]*+\.)++(?:py|pyc|js|ts|java|go|rs|c|h|cc|cpp|rb|php|so|dll|exe|jar|sh|sql|csv|tsv|xlsx?|docx?|pdf|txt|log|gz|"
    r"bz2|xz|zip|tar|tgz|json|ya?ml|toml|ini|cfg|conf|xml|html?|css|png|jpe?g|gif|svg|mp[34]|avi|mov|wav|parquet|avro|db|"
    r"sqlite3?|bak|tmp|lock|pid|sock|pem|crt|key|dat|bin|iso|img|md|lua|proto|service|part)(?::\d++(?::\d++)?)?"
)
_POD = re.compile(r"-[0-9a-f]{8,10}-[0-9a-z]{5}(?![0-9A-Za-z])")
_UUID = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_AGENT = re.compile(r"([A-Za-z][\w.-]*?)/v?\d[\d.]*+")
_RELATIVE = re.compile(r"[^\s/]++(?:/[^\s/]*+)++")
_NAMED_VALUE = re.compile(r"([A-Za-z_][\w.\[\]-]{0,60}+)=(.*)")
# Values that say what happened, rather than to whom.
_KEPT_VALUES = _set(
    "message msg event error err exception reason detail cause level lvl severity status state op operation action method"
    " component module caller kind type errno sqlstate result outcome"
)


def _shape_word(word: str) -> str:
    """Return one word, which has no spaces, with what varies in it replaced."""
    if word.isalpha() and len(word) < 16:
        return word
    bare = word.lstrip(_LEAD)
    lead = word[: len(word) - len(bare)]
    core = bare.rstrip(_TAIL)
    tail = bare[len(core) :]
    if not core:
        return word
    if _WORTH_A_LOOK.search(core) is None and not _is_token(core) and not _is_letters_of_hex(core):
        return word
    if lead.endswith("[") and "]:" in core:
        lead = lead[:-1]  # [::1]:443
    return lead + _shape_core(core) + tail


_remembered = lru_cache(maxsize=16_384)(_shape_word)


def _shape_core(core: str) -> str:
    found = _KINDS.fullmatch(core)
    if found is not None:
        return f"<{found.lastgroup}>"
    if "=" in core:
        named = _NAMED_VALUE.fullmatch(core)
        if named is not None:
            return _shape_named(named[1], named[2])
    if "/" in core:
        return _shape_slashed(core)
    if _FILE.fullmatch(core) is not None:
        return "<path>"
    if ":" in core:
        return _shape_colons(core)
    return _shape_piece(core)


def _shape_named(name: str, value: str) -> str:
    """Return `name=value` shaped; a plain word counts as a value unless the name says that it tells what happened."""
    shaped = _shape_pieces(name)
    bare = value.strip("\"'")
    if not bare or bare == "<value>" or bare == "<data>":
        return f"{shaped}={value}"
    if name.lower() in _KEPT_VALUES:
        return f"{shaped}={_shape_word(value)}"
    tail = value[len(value.rstrip(_TAIL)) :]
    found = _KINDS.fullmatch(value.rstrip(_TAIL))
    return f"{shaped}=<{found.lastgroup if found is not None else 'value'}>{tail}"


def _shape_slashed(core: str) -> str:
    agent = _AGENT.fullmatch(core)
    if agent is not None:
        return f"{_shape_pieces(agent[1])}/<num>"
    if _RELATIVE.fullmatch(core) is None:
        return _shape_pieces(core)
    first, _, last = core.rpartition("/")
    if _KINDS.fullmatch(first) is not None and _KINDS.fullmatch(last) is not None:
        return "<num>"
    if core.count("/") > 1 or "." in last or any(character.isdigit() for character in core):
        return "<path>"
    return core


_HOST_AND_PORT = re.compile(r"(?=[^:]*[.\d-])[A-Za-z0-9_][\w.-]*+:\d{2,5}")
_PARTS_MAX = 12


def _shape_colons(core: str) -> str:
    """Return words joined by colons: a host and its port, else each by itself."""
    if _HOST_AND_PORT.fullmatch(core) is not None:
        return "<host>"
    return ":".join(_shape_part(part) for part in core.split(":", _PARTS_MAX))


def _shape_part(part: str) -> str:
    if not part:
        return part
    found = _KINDS.fullmatch(part)
    if found is not None:
        return f"<{found.lastgroup}>"
    return "<path>" if _FILE.fullmatch(part) is not None else _shape_piece(part)


def _shape_piece(word: str) -> str:
    if len(word) > 16 and "-" in word:
        word = _POD.sub("-<id>", _UUID.sub("<id>", word))
    if _is_token(word):
        return "<id>"
    return _shape_pieces(word)


_PIECE = re.compile(r"[^\W_]++")
_IDS = re.compile(r"<(?:id|num)>(?:[-_.]<(?:id|num)>)++")


def _shape_pieces(word: str) -> str:
    """Return a word of several, such as `worker-3` or `task_17_done`, each shaped."""
    shaped = _PIECE.sub(_shape_run, word)
    return _IDS.sub("<id>", shaped) if ">" in shaped else shaped


# Words whose digits are part of the name.
_NAMES = _set(
    "utf8 utf16 ssh1 ssh2 s3 ec2 http2 http3 h2 h3 ipv4 ipv6 ip4 ip6 sha1 sha224 sha256 sha384 sha512 md5 base64 base32 oauth2 x509 k8s"
    " i18n l10n log4j p50 p75 p90 p95 p99 p999 mp3 mp4 h264 gzip2 bz2 tls1 ext3 ext4 pbkdf2 argon2 blake2 crc32 int8 int16"
    " int32 int64 uint8 uint16 uint32 uint64 float32 float64 python2 python3 py3 sqlite3 psycopg2 psycopg3 urllib3 boto3 jinja2"
    " bs4 b2b b2c 2fa mfa2 win32 x86 x64 amd64 arm64 i386 latin1 neo4j l2 l3 l4 l7 ps2 h5 web3 web2 fp16 fp32 bf16 p2p s2s"
    " 3d 2d 4xx 5xx 3xx 2xx 1xx j2ee e2e a11y ieee754 iso8601 rfc3339 rs256 hs256 es256 ed25519 pkcs8 pkcs12 raid0 raid1 raid5"
    " v1beta1 v1beta2 v1alpha1 v2beta1 v2beta2 layer2 layer3 layer4 layer7"
)
_HEX = re.compile(r"(?=[0-9a-fA-F]*[0-9])[0-9a-fA-F]{7,}+")
_NAME_AND_NUMBER = re.compile(r"([^\W\d_]++)\d++")
_NUMBER = re.compile(r"\d++")
_TURN = re.compile(r"[^\W\d_](?=\d)|\d(?=[^\W\d_])")


def _shape_run(found: re.Match[str]) -> str:
    """Return one run of letters and digits, shaped."""
    run = found[0]
    if run.isalpha():
        return "<id>" if _is_letters_of_hex(run) else run
    if run.isdigit():
        return "<num>"
    if run.lower() in _NAMES:
        return run
    if _HEX.fullmatch(run) is not None:
        return "<id>"
    named = _NAME_AND_NUMBER.fullmatch(run)
    if named is not None and not (len(run) > 16 and _is_token(run)):
        return f"{named[1]}<num>"
    if len(_TURN.findall(run)) >= 2 and len(run) >= 4:
        return "<id>"
    return _NUMBER.sub("<num>", run)


_TOKEN = re.compile(r"[A-Za-z0-9+/_.=-]{16,}+")
_TOKEN_TURNS = 3


def _is_token(word: str) -> bool:
    """Whether a long word is one that a machine made up: a key, a signature, base64."""
    if len(word) < 16 or _TOKEN.fullmatch(word) is None:
        return False
    if word.islower() or word.isupper():
        return word.isalnum() and len(_TURN.findall(word)) > 1
    return len(_TURN.findall(word)) >= _TOKEN_TURNS


def _is_letters_of_hex(word: str) -> bool:
    """Whether a word is an id of hexadecimal digits that happen all to be letters."""
    return len(word) >= 8 and not word.lower().strip("abcdef")
