"""What a bridge tells about itself."""

from __future__ import annotations

from django.db import models


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
