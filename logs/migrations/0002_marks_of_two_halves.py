"""A sender's number gets a second half and an owner, and a reader's position the count of rows it never saw."""

from __future__ import annotations

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("logs", "0001_initial"),
    ]

    operations = [
        migrations.RenameField("sendermark", "mark", "low"),
        migrations.AlterField("sendermark", "low", models.BigIntegerField(default=0)),
        migrations.AddField("sendermark", "high", models.BigIntegerField(default=0)),
        migrations.AddField(
            "sendermark",
            "owner",
            models.CharField(default="", help_text="The credential it belongs to; empty: nobody's.", max_length=200),
        ),
        migrations.AddField(
            "sendermark",
            "updated",
            models.DateTimeField(auto_now=True, default=django.utils.timezone.now),
            preserve_default=False,
        ),
        migrations.AddField(
            "readerposition",
            "cut",
            models.BigIntegerField(default=0, help_text="Rows that were deleted before this reader had read them."),
        ),
    ]
