"""What herald keeps: log rows, signs of life, counts by minute, patterns, and how far each reader has read."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

ID_MAX = 200
SHORT_MAX = 1_000


class Level(models.IntegerChoices):
    """The levels of Python's logging; a record may carry any number beside them."""

    NOTSET = 0, "NOTSET"
    DEBUG = 10, "DEBUG"
    INFO = 20, "INFO"
    WARNING = 30, "WARNING"
    ERROR = 40, "ERROR"
    CRITICAL = 50, "CRITICAL"


class Log(models.Model):
    """One stored record. Rows are written by `logs.store.append` alone, and never changed.

    `created` is the sender's clock, `received` herald's. On PostgreSQL the table is partitioned by the day of
    `received`, its primary key is (id, received), and it has a column `tx` that only the store and the tail know.
    """

    id = models.BigAutoField(primary_key=True)
    created = models.DateTimeField()
    received = models.DateTimeField()

    system_id = models.CharField(max_length=ID_MAX)
    sub_system_id = models.CharField(max_length=ID_MAX)
    sub_sub_system_id = models.CharField(max_length=ID_MAX)
    produkt_id = models.CharField(max_length=ID_MAX)
    user_spec_1 = models.CharField(max_length=ID_MAX)
    user_spec_2 = models.CharField(max_length=ID_MAX)
    package_version = models.CharField(max_length=ID_MAX)
    api_version = models.CharField(max_length=ID_MAX)

    name = models.CharField(max_length=SHORT_MAX)
    levelno = models.IntegerField()
    levelname = models.CharField(max_length=SHORT_MAX)
    message = models.TextField()
    args = models.TextField()
    exc_info = models.TextField()
    exc_text = models.TextField()
    stack_info = models.TextField()

    pathname = models.CharField(max_length=SHORT_MAX)
    filename = models.CharField(max_length=SHORT_MAX)
    module = models.CharField(max_length=SHORT_MAX)
    funcname = models.CharField(max_length=SHORT_MAX)
    lineno = models.IntegerField(null=True)
    process = models.IntegerField(null=True)
    processname = models.CharField(max_length=SHORT_MAX)
    thread = models.BigIntegerField(null=True)
    threadname = models.CharField(max_length=SHORT_MAX)
    taskname = models.CharField(max_length=SHORT_MAX)
    asctime = models.CharField(max_length=SHORT_MAX)
    summary = models.CharField(max_length=SHORT_MAX)
    msecs = models.FloatField(null=True)
    relativecreated = models.FloatField(null=True)

    extra = models.JSONField(default=dict, help_text="Every key of the record that has no column.")
    peer = models.CharField(max_length=ID_MAX, help_text="The address the record came from.")
    origin = models.JSONField(default=list, help_text="The bridges the record came through, with times.")
    flags = models.CharField(max_length=ID_MAX, help_text="What herald had to mend: created, cut, odd.")

    class Meta:
        verbose_name = "log"
        default_permissions = ("add", "view", "delete")
        indexes = [
            models.Index(fields=["created", "id"], name="logs_log_created"),
            models.Index(fields=["system_id", "id"], name="logs_log_system"),
            models.Index(fields=["system_id", "id"], name="logs_log_system_error", condition=models.Q(levelno__gte=40)),
        ]

    def __str__(self) -> str:
        return f"{self.created:%Y-%m-%d %H:%M:%S} {self.levelname} {self.system_id}: {self.message[:80]}"


class HeartBeat(models.Model):
    """The newest sign of life of a system on a host, by herald's clock. Every record of a system is one."""

    system_id = models.CharField(max_length=ID_MAX)
    sub_system_id = models.CharField("host", max_length=ID_MAX)
    first_heartbeat = models.DateTimeField()
    newest_heartbeat = models.DateTimeField()

    class Meta:
        verbose_name = "heartbeat"
        default_permissions = ("view", "delete")
        constraints = [
            models.UniqueConstraint(fields=["system_id", "sub_system_id"], name="logs_heartbeat_system_and_host"),
        ]

    def __str__(self) -> str:
        return f"{self.system_id}@{self.sub_system_id}" if self.sub_system_id else self.system_id


class SystemVersion(models.Model):
    """A version of a system that was heard of on a host: since when, in this run of it, and when last, to a minute."""

    system_id = models.CharField(max_length=ID_MAX)
    sub_system_id = models.CharField("host", max_length=ID_MAX)
    version = models.CharField(max_length=ID_MAX)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()

    class Meta:
        verbose_name = "version of a system"
        verbose_name_plural = "versions of systems"
        default_permissions = ("view", "delete")
        constraints = [
            models.UniqueConstraint(fields=["system_id", "sub_system_id", "version"], name="logs_systemversion_key"),
        ]
        indexes = [models.Index(fields=["last_seen"], name="logs_systemversion_seen")]

    def __str__(self) -> str:
        return f"{self.system_id}@{self.sub_system_id} {self.version}"


class LogCount(models.Model):
    """How many rows one writer stored of one system, level and minute of `created`; readers add the writers up."""

    minute = models.DateTimeField()
    system_id = models.CharField(max_length=ID_MAX)
    level = models.PositiveSmallIntegerField(choices=Level.choices, help_text="levelno, cut down to a standard level.")
    writer = models.CharField(max_length=ID_MAX)
    count = models.BigIntegerField()

    class Meta:
        verbose_name = "minute count"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["minute", "system_id", "level", "writer"], name="logs_logcount_key"),
        ]

    def __str__(self) -> str:
        return f"{self.minute:%Y-%m-%d %H:%M} {self.system_id} {self.level}: {self.count}"


class SeenValue(models.Model):
    """A value that a field of Log has had. Kept by `logs.seen`, which also says what an empty one stands for."""

    field = models.CharField(max_length=40)
    value = models.CharField(max_length=ID_MAX)
    folded = models.CharField(max_length=ID_MAX, help_text="The value as logs.query.fold makes it.")

    class Meta:
        verbose_name = "seen value"
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["field", "value"], name="logs_seenvalue_key")]
        indexes = [models.Index(fields=["field", "folded"], name="logs_seenvalue_folded")]

    def __str__(self) -> str:
        return f"{self.field}: {self.value}"


class SavedSearch(models.Model):
    """A search that somebody has given a name: their own, or for all to use. `logs.saved` makes and reads it.

    The time is a quick range by its name, or from and to, as in an address; both empty: any time.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_searches")
    name = models.CharField(max_length=100)
    query = models.TextField(blank=True)
    last = models.CharField(max_length=10, blank=True)
    since = models.DateTimeField(null=True, blank=True)
    until = models.DateTimeField(null=True, blank=True)
    is_shared = models.BooleanField("shared with everybody", default=False)

    class Meta:
        verbose_name = "saved search"
        verbose_name_plural = "saved searches"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="logs_savedsearch_name"),
            models.CheckConstraint(
                condition=models.Q(last="") | models.Q(since=None, until=None), name="logs_savedsearch_one_time"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class SenderMark(models.Model):
    """The highest sequence number of an acknowledged sender up to which everything is stored.

    A number has two halves, compared in order; a sender that counts with one leaves `high` 0.
    """

    sender = models.CharField(max_length=ID_MAX, unique=True)
    owner = models.CharField(max_length=ID_MAX, default="", help_text="The credential it belongs to; empty: nobody's.")
    high = models.BigIntegerField(default=0)
    low = models.BigIntegerField(default=0)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "sender's mark"
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.sender}: {self.high}.{self.low}"


class ReaderPosition(models.Model):
    """How far a named reader of the tail has read; the text is `logs.tail.Position`'s."""

    name = models.CharField(max_length=ID_MAX, unique=True)
    position = models.CharField(max_length=64)
    updated = models.DateTimeField(auto_now=True)
    cut = models.BigIntegerField(default=0, help_text="Rows that were deleted before this reader had read them.")

    class Meta:
        verbose_name = "reader's position"
        default_permissions = ("view", "delete")

    def __str__(self) -> str:
        return f"{self.name} at {self.position}"


class RetentionPolicy(models.Model):
    """Rows that fit `query` are kept for `age`, unless a policy before this one has decided about them."""

    name = models.CharField(max_length=80, unique=True)
    query = models.TextField(help_text="The rows it is about, in herald's query language.")
    age = models.DurationField(help_text="How long they are kept, such as 90 d, 6 h or 45 min.")
    enabled = models.BooleanField(default=True)
    order = models.PositiveIntegerField(default=100, help_text="The first policy that a row fits decides.")

    class Meta:
        verbose_name = "retention policy"
        verbose_name_plural = "retention policies"
        ordering = ("order", "id")
        constraints = [
            models.CheckConstraint(condition=models.Q(age__gt=timedelta(0)), name="logs_retentionpolicy_age"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        # It needs the models, which are being made here.
        from logs.policies import validate_policy  # noqa: PLC0415

        try:
            validate_policy(self.query)
        except ValidationError as error:
            raise ValidationError({"query": error}) from error


class PruneRequest(models.Model):
    """Somebody asked that old rows be deleted now; a bridge takes it, and tells here how far it is.

    Nobody else asks while one is open. One whose bridge was killed is taken again.
    """

    asked_by = models.CharField(max_length=150)
    asked = models.DateTimeField()
    default_age = models.DurationField(help_text="What was shown as the age for rows without a policy.")
    taken = models.DateTimeField(null=True)
    updated = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)
    deleted = models.BigIntegerField(default=0)
    error = models.CharField(max_length=500, default="")

    class Meta:
        verbose_name = "request to delete old rows"
        verbose_name_plural = "requests to delete old rows"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                models.Value(1), condition=models.Q(finished=None), name="logs_prunerequest_one_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.asked:%Y-%m-%d %H:%M} by {self.asked_by}"


class StoreState(models.Model):
    """The one row of what the store must remember beside the rows.

    `tx_offset` is added to PostgreSQL's transaction ids so that they keep growing when a restored cluster
    begins to count anew. Of the time before `pruned_to`, rows or minute counts have been deleted.
    """

    tx_offset = models.BigIntegerField(default=0)
    pruned_to = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="logs_storestate_one_row")]

    def __str__(self) -> str:
        return f"offset {self.tx_offset}"


class Pattern(models.Model):
    """What is known of all rows of one system at WARNING and above whose messages have one shape.

    Written by `logs.patterns.keeping` alone but for what people decide (`logs.patterns.decisions`). It outlives the rows, and
    copies of them what it shows. `first_seen` and `last_seen` are by `received`: senders' clocks may say anything.
    """

    class State(models.TextChoices):
        """What people have decided about it."""

        OPEN = "open", "Open"
        RESOLVED = "resolved", "Resolved"
        IGNORED = "ignored", "Ignored"

    system_id = models.CharField(max_length=ID_MAX)
    key = models.CharField(max_length=32, help_text="What the rows have in common, as logs.patterns.shapes makes it.")
    template = models.CharField(max_length=500)
    exception = models.CharField(max_length=ID_MAX)
    frame = models.CharField(max_length=300, help_text="The innermost own frame of the traceback.")
    logger = models.CharField(max_length=ID_MAX)
    levelno = models.IntegerField(help_text="The highest level it came at.")
    words = models.TextField(help_text="What a search looks in, folded.")

    count = models.BigIntegerField()
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    first_version = models.CharField(max_length=ID_MAX)
    newest_version = models.CharField(max_length=ID_MAX)
    versions = models.JSONField(default=list, help_text="For each version: name, first and last seen, count.")
    samples = models.JSONField(default=list, help_text="Copies of its first row and of the newest ones.")
    hours = models.JSONField(default=list, help_text="Pairs of hour (since 1970) and count, for the last 7 days.")

    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=150)
    resolved_in = models.CharField(max_length=ID_MAX, help_text="The version with the mend; empty: any.")
    regressed = models.BooleanField(default=False, help_text="It came back after it was resolved.")
    regressed_at = models.DateTimeField(null=True)
    regressed_in = models.CharField(max_length=ID_MAX)

    class Meta:
        verbose_name = "pattern"
        default_permissions = ("view", "change", "delete")
        constraints = [
            models.UniqueConstraint(fields=["system_id", "key"], name="logs_pattern_system_and_key"),
            models.CheckConstraint(condition=models.Q(count__gt=0), name="logs_pattern_was_seen"),
            models.CheckConstraint(
                condition=models.Q(state__in=["open", "resolved", "ignored"]), name="logs_pattern_state_is_known"
            ),
            models.CheckConstraint(
                condition=models.Q(regressed=False) | models.Q(state="open", regressed_at__isnull=False),
                name="logs_pattern_regressed_is_open",
            ),
            models.CheckConstraint(
                condition=models.Q(state="open") | models.Q(decided_at__isnull=False), name="logs_pattern_was_decided"
            ),
        ]
        indexes = [
            models.Index(fields=["state", "regressed", "last_seen", "id"], name="logs_pattern_newest"),
            models.Index(fields=["system_id", "last_seen"], name="logs_pattern_system"),
        ]

    def __str__(self) -> str:
        return f"{self.system_id}: {self.template[:80]}"


class PatternTable(models.Model):
    """The one row of what must be remembered beside the patterns: how many had to go to make room for others."""

    dropped = models.BigIntegerField(default=0)
    dropped_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="logs_patterntable_one_row")]

    def __str__(self) -> str:
        return f"{self.dropped} dropped"
