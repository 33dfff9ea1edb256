from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from logs.models import Log, RetentionPolicy
from logs.store import append
from tests.logs.records import record

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def prune_logs(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("prune_logs", *arguments, stdout=out, stderr=StringIO())
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


@pytest.fixture
def _rows() -> None:
    now = timezone.now()
    ages = (50, 40, 6, 5, 0)
    append([record(f"{age} d", at=now - age * DAY, levelno=10 if age == 6 else 20) for age in ages])
    RetentionPolicy.objects.create(name="debug", query="level:DEBUG", age=2 * DAY)
    RetentionPolicy.objects.create(name="off", query="5", age=2 * DAY, enabled=False)


@pytest.mark.usefixtures("_rows")
def test_a_dry_run_tells_what_would_go_by_policy_and_the_run_deletes_exactly_that():
    told = prune_logs("--dry-run")
    untouched = Log.objects.count()
    done = prune_logs()

    counts = ["1 debug: older than 2 days", "2 all other rows: older than 30 days"]
    assert told == [*counts, "3 rows would go"]
    assert untouched == 5
    assert done == [*counts, "3 rows deleted"]
    assert set(Log.objects.values_list("message", flat=True)) == {"5 d", "0 d"}


@pytest.mark.usefixtures("_rows")
def test_a_dry_run_that_has_no_time_says_that_there_may_be_more():
    assert prune_logs("--dry-run", "--seconds=-1")[-1] == "The look ended early: there may be more."


@pytest.mark.usefixtures("_rows")
def test_a_policy_that_cannot_be_read_is_named_and_nothing_deleted():
    RetentionPolicy.objects.create(name="broken", query="a:(", age=DAY)

    with pytest.raises(CommandError, match="nothing was deleted: the retention policy 'broken'"):
        prune_logs()
    assert Log.objects.count() == 5


@pytest.mark.usefixtures("_rows")
def test_a_log_that_is_too_large_is_told_by_the_dry_run(settings):
    settings.SIZE_MAX_GB = 0.000001

    assert "after these the oldest rows would go until it fits" in prune_logs("--dry-run")[-1]
