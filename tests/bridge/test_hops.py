from __future__ import annotations

from datetime import datetime

import pytest

from bridge.hops import Hops
from bridge.models import Hop
from logs.client import wire

pytestmark = pytest.mark.django_db


def hello(name: str, bridge: str = "b" * 32) -> wire.Hello:
    return wire.Hello(sender="0123456789abcdef", name=name, kind="bridge", bridge=bridge)


@pytest.mark.parametrize("name", ["🙂" * 200, "Zürich " * 28, "\x1b" * 200])
def test_whatever_a_bridge_is_called_it_fits_its_column(now: datetime, name: str):
    hops = Hops()
    heard = hops.hear(hello(name), "10.0.0.7")
    heard.beat({"behind": [{"bridge": "c" * 32, "name": name, "newest_beat": now.isoformat()}]}, now)
    hops.save("own")

    assert [len(hop.name) <= 200 and hop.name.isascii() for hop in Hop.objects.all()] == [True, True]


@pytest.mark.parametrize("bridge", ["\0" * 8, "short", "x" * 65, "ümlaut-ümlaut", 7, None, "two words", "line\nend!"])
def test_what_is_no_id_of_a_bridge_is_not_kept(now: datetime, bridge: object):
    hops = Hops()
    hops.hear(hello("near"), "10.0.0.7").beat({"behind": [{"bridge": bridge, "name": "x"}]}, now)
    hops.save("own")

    assert [hop.name for hop in Hop.objects.all()] == ["near"]
