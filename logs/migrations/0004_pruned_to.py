"""The store remembers up to when rows have been deleted; at first, up to the oldest one that is there."""

from __future__ import annotations

from django.db import migrations, models


def fill(apps, schema_editor):
    if schema_editor.connection.alias != "default":
        return
    oldest = apps.get_model("logs", "Log").objects.order_by("id").values_list("id", "received").first()
    if oldest is not None and oldest[0] > 1:
        apps.get_model("logs", "StoreState").objects.update_or_create(id=1, defaults={"pruned_to": oldest[1]})


class Migration(migrations.Migration):

    dependencies = [
        ("logs", "0003_seen_values"),
    ]

    operations = [
        migrations.AddField("storestate", "pruned_to", models.DateTimeField(null=True)),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
