"""What people ask for on the page "Delete old rows": one row, taken and done by a bridge's keeper."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from logs.models import PruneRequest
from logs.policies import Plan, UnusablePolicy
from logs.retention import Pruner, Tally

ABANDONED = timedelta(minutes=2)
"""A request whose taker has said nothing for so long is taken again."""
TELL_EVERY = 1.0
KEPT = 20
"""How many requests that are done are remembered."""


def ask(who: str, default_age: timedelta, now: datetime) -> PruneRequest | None:
    """Ask that what is due at `default_age` and by the policies be deleted; None while another request is open."""
    try:
        with transaction.atomic():
            return PruneRequest.objects.create(asked_by=who[:150], asked=now, default_age=default_age)
    except IntegrityError:
        return None


def latest() -> PruneRequest | None:
    """Return the newest request, open or done."""
    return PruneRequest.objects.order_by("-id").first()


def answer(
    now: datetime, *, patience: timedelta, stop: Callable[[], bool] = lambda: False, pause: float | None = None
) -> PruneRequest | None:
    """Take the open request and do it; return it when it is done, None where there is none or it is left to others.

    It is claimed by a conditional UPDATE: of several bridges one gets it.
    """
    request = PruneRequest.objects.filter(finished=None).filter(_free(now)).first()
    if request is None:
        return None
    claimed = PruneRequest.objects.filter(pk=request.pk, finished=None).filter(_free(now))
    if not claimed.update(taken=now, updated=now):
        return None
    options = {} if pause is None else {"pause": pause}
    pruner = Pruner(patience=patience, stop=stop, told=_Progress(request), **options)  # type: ignore[arg-type]
    error = ""
    try:
        tally = pruner.prune(Plan.load(request.default_age), now)
        if not tally.complete:  # told to stop, or another process is at it: it is taken up again
            PruneRequest.objects.filter(pk=request.pk).update(taken=None, deleted=request.deleted + tally.rows)
            return None
    except UnusablePolicy as unusable:
        tally, error = Tally(), str(unusable)[:500]
    return _finish(request, tally, error)


def _free(now: datetime) -> Q:
    return Q(taken=None) | Q(updated__lt=now - ABANDONED)


def _finish(request: PruneRequest, tally: Tally, error: str) -> PruneRequest:
    at = timezone.now()
    PruneRequest.objects.filter(pk=request.pk).update(
        finished=at, updated=at, deleted=request.deleted + tally.rows, error=error
    )
    request.refresh_from_db()
    oldest = PruneRequest.objects.order_by("-id").values_list("id", flat=True)[KEPT : KEPT + 1].first()
    if oldest is not None:
        PruneRequest.objects.filter(id__lte=oldest).exclude(finished=None).delete()
    return request


class _Progress:
    """Writes into the request how many rows have gone, once a second."""

    def __init__(self, request: PruneRequest) -> None:
        self.request = request
        self.before = request.deleted
        self.told_at = float("-inf")

    def __call__(self, tally: Tally) -> None:
        if time.monotonic() - self.told_at >= TELL_EVERY:
            self.told_at = time.monotonic()
            PruneRequest.objects.filter(pk=self.request.pk).update(
                deleted=self.before + tally.rows, updated=timezone.now()
            )
