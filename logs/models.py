"""What herald keeps: log rows, signs of life, counts by minute, and how far each reader has read."""

from __future__ import annotations

from django.conf import settings
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
