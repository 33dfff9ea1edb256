"""What a bridge tells about itself, who may send to it, whom it hears of, and where its rows go on to."""

from __future__ import annotations

import secrets

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from logs.models import ID_MAX, ReaderPosition

LEVEL_MAX = 100
NAME = RegexValidator(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}\Z", "Use letters, digits, - . and _, 80 characters at most.")
LEVEL = [MinValueValidator(0), MaxValueValidator(LEVEL_MAX)]


def check_systems(text: str) -> None:
    """Raise ValidationError unless each line of `text` is a system id, the beginning of one with a star, or a star."""
    errors = [f"Line {number}: {why}" for number, line in enumerate(text.splitlines(), 1) if (why := _fault_of(line))]
    if errors:
        raise ValidationError(errors)


def _fault_of(line: str) -> str:
    pattern = line.strip()
    if len(pattern.split()) > 1:
        return "one system id a line, without spaces in it."
    if not pattern.isprintable():
        return "a system id has no invisible characters here."
    if "*" in pattern[:-1]:
        return "a star stands at the end: shop.* is everything that begins with shop. and * is any system."
    return f"a system id has {ID_MAX} characters at most." if len(pattern) > ID_MAX else ""


def random_id() -> str:
    """Return an id nobody else has."""
    return secrets.token_hex(16)


def random_key() -> str:
    """Return a key for marks that stand for hashed values."""
    return secrets.token_hex(32)


class BridgeStatus(models.Model):
    """One running bridge, or one that ran lately. The bridge itself writes the row every few seconds.

    `figures` is `bridge.status.Figures.as_dict()`: counters since `started`, and samples of what was rejected.
    """

    name = models.CharField(max_length=300, unique=True, help_text="The machine and the port it listens on.")
    host = models.CharField(max_length=200)
    address = models.CharField(max_length=200, help_text="Where it listens.")
    pid = models.IntegerField()
    started = models.DateTimeField()
    updated = models.DateTimeField()
    stopped = models.BooleanField(default=False)
    figures = models.JSONField(default=dict)

    class Meta:
        verbose_name = "bridge"
        default_permissions = ("view", "delete")

    def __str__(self) -> str:
        return self.name


class BridgeId(models.Model):
    """The one row that says which bridge this database is; several processes on one database are one bridge.

    It stands in the `origin` of each row that went on from here, by which loops are found.
    """

    bridge = models.CharField(max_length=64, default=random_id)

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="bridge_bridgeid_one_row")]

    def __str__(self) -> str:
        return self.bridge

    @classmethod
    def own(cls) -> str:
        """Return this bridge's id; it is made at the first call."""
        return cls.objects.get_or_create(id=1)[0].bridge


class Credential(models.Model):
    """Who may send as whom. The secret is made by herald, shown once, and kept as a hash.

    `systems` holds one system id a line, `shop.*` for all that begin with `shop.`, `*` for any.
    """

    name = models.CharField(max_length=80, unique=True, validators=[NAME])
    secret_hash = models.CharField(max_length=64, editable=False)
    systems = models.TextField(
        default="*",
        validators=[check_systems],
        help_text="The system ids it may write under, one a line: `shop.orders`, `shop.*`, or `*` for any.",
    )
    may_relay = models.BooleanField(
        "is a bridge", default=False, help_text="It hands on what others wrote, with the bridges each row came through."
    )
    enabled = models.BooleanField(default=True)
    created = models.DateTimeField(auto_now_add=True)
    last_seen = models.DateTimeField(null=True, editable=False)
    last_peer = models.CharField(max_length=200, default="", editable=False)

    class Meta:
        verbose_name = "credential"

    def __str__(self) -> str:
        return self.name


class Hop(models.Model):
    """A bridge that sends its rows here, or sits behind one that does, and when it was last heard of.

    The process that hears it writes the row every few seconds. Moments are by this bridge's clock, except `started`.
    """

    bridge = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=200)
    via = models.CharField(max_length=200, default="", help_text="The bridge through which it is heard; empty: itself.")
    peer = models.CharField(max_length=200, default="")
    level = models.IntegerField(default=0)
    connected = models.BooleanField(default=False)
    said_goodbye = models.BooleanField(default=False)
    started = models.DateTimeField(null=True)
    newest_beat = models.DateTimeField(null=True)
    newest_row = models.DateTimeField(null=True)
    rows = models.BigIntegerField(default=0)
    waiting = models.BigIntegerField(default=0, help_text="Rows it has not handed on yet, by its own count.")
    clock_offset = models.FloatField(null=True, help_text="Seconds by which its clock is ahead of ours.")
    transit = models.FloatField(null=True, help_text="Seconds the newest row was on its way, clocks set right.")
    held = models.FloatField(null=True, help_text="Seconds the newest row lay at that bridge before it was sent.")

    class Meta:
        verbose_name = "incoming bridge"
        default_permissions = ("view", "delete")

    def __str__(self) -> str:
        return self.name


class Destination(models.Model):
    """Where rows go on to, what of them, and how that stands. The forwarder of this bridge writes how it stands."""

    name = models.CharField(max_length=80, unique=True, validators=[NAME])
    kind = models.CharField(max_length=40, default="herald")
    host = models.CharField(max_length=255)
    port = models.PositiveIntegerField(validators=[MinValueValidator(1), MaxValueValidator(65_535)])
    enabled = models.BooleanField(default=True, help_text="Off: paused. Rows wait, as long as they are kept.")

    tls = models.BooleanField("TLS", default=False)
    tls_ca = models.CharField(
        "TLS: CA file", max_length=500, blank=True, help_text="Who signs its certificate; empty: the system's CAs."
    )
    tls_server_name = models.CharField(
        "TLS: server name",
        max_length=255,
        blank=True,
        help_text="The name in its certificate, where that is not the host.",
    )
    tls_certificate = models.CharField(
        "TLS: our certificate", max_length=500, blank=True, help_text="A PEM file, where it asks for one."
    )
    tls_key = models.CharField("TLS: our key", max_length=500, blank=True, help_text="The PEM file of its key.")
    login = models.CharField("credential", max_length=80, blank=True, help_text="The credential's name over there.")
    secret = models.CharField(max_length=500, blank=True, help_text="Its secret. It is never shown again.")

    query = models.TextField(blank=True, help_text="Only rows that fit this query go on; empty: all.")
    dropped = models.TextField("dropped fields", blank=True, help_text="Fields that do not leave, one a line.")
    masked = models.TextField("masked fields", blank=True, help_text="Fields that leave as •••, one a line.")
    hashed = models.TextField(
        "hashed fields", blank=True, help_text="Fields of which a mark leaves, the same for the same value, one a line."
    )
    hash_key = models.CharField(max_length=64, default=random_key, editable=False)
    level = models.IntegerField(
        "least level of trust",
        default=0,
        validators=LEVEL,
        help_text="Rows go there only while the far bridge says it has at least this level.",
    )
    rate = models.PositiveIntegerField("rows a second", default=0, help_text="At most so many; 0: as fast as it goes.")

    sender = models.CharField(max_length=64, default=random_id, editable=False)
    start = models.CharField(max_length=64, default="0.0", editable=False)
    acked_high = models.BigIntegerField(default=0, editable=False)
    acked_low = models.BigIntegerField(default=0, editable=False)

    state = models.CharField(max_length=20, default="", editable=False)
    state_text = models.CharField(max_length=500, default="", editable=False)
    state_since = models.DateTimeField(null=True, editable=False)
    error = models.CharField("last error", max_length=500, default="", editable=False)
    error_at = models.DateTimeField(null=True, editable=False)
    far_bridge = models.CharField(max_length=64, default="", editable=False)
    far_name = models.CharField(max_length=200, default="", editable=False)
    far_level = models.IntegerField(null=True, editable=False)
    clock_offset = models.FloatField(
        null=True, editable=False, help_text="Seconds by which its clock is ahead of ours."
    )
    rows = models.BigIntegerField(default=0, editable=False)
    newest_row = models.DateTimeField(null=True, editable=False, help_text="When a row last got there.")
    rejected = models.BigIntegerField(default=0, editable=False)
    waiting = models.BigIntegerField(default=0, editable=False)
    lag_seconds = models.FloatField(default=0, editable=False)
    updated = models.DateTimeField(null=True, editable=False)

    holder = models.CharField(max_length=300, default="", editable=False)
    held_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "destination"

    def __str__(self) -> str:
        return self.name

    @property
    def reader(self) -> str:
        """The name under which its position is kept, for which retention waits."""
        return f"destination {self.pk}"


@receiver(post_save, sender=Destination)
def remember_position(instance: Destination, created: bool, **kwargs: object) -> None:
    """Retention waits for a destination from the moment there is one."""
    if created:
        ReaderPosition.objects.update_or_create(name=instance.reader, defaults={"position": instance.start})


@receiver(post_delete, sender=Destination)
def forget_position(instance: Destination, **kwargs: object) -> None:
    """Nobody reads for a destination that is gone: retention must not wait for it."""
    ReaderPosition.objects.filter(name=instance.reader).delete()


class Departure(models.Model):
    """What left this site for one destination in one hour. It stays when the destination is gone."""

    destination = models.CharField(max_length=80)
    address = models.CharField(max_length=300)
    far_bridge = models.CharField(max_length=64, default="")
    hour = models.DateTimeField()
    rows = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    redacted = models.BigIntegerField(default=0, help_text="Rows of which something was dropped, masked or hashed.")

    class Meta:
        verbose_name = "departure"
        default_permissions = ("view",)
        indexes = [models.Index(fields=["hour"], name="bridge_departure_hour")]
        constraints = [
            models.UniqueConstraint(
                fields=["destination", "address", "far_bridge", "hour"], name="bridge_departure_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.destination} {self.hour:%Y-%m-%d %H:00}: {self.rows}"
