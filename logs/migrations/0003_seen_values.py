"""A table of the values that fields have had, filled from the rows that are there."""

from __future__ import annotations

from django.db import migrations, models

from logs.query.folding import fold
from logs.seen import FIELDS, INCOMPLETE, LENGTH_MAX, VALUES_MAX


def fill(apps, schema_editor):
    if schema_editor.connection.alias != "default":
        return
    log, seen = apps.get_model("logs", "Log"), apps.get_model("logs", "SeenValue")
    for field in FIELDS:
        found = log.objects.order_by().exclude(**{field: ""}).values_list(field, flat=True).distinct()
        values = list(found[: VALUES_MAX + 1])
        if len(values) > VALUES_MAX:
            values = [*values[:VALUES_MAX], INCOMPLETE]
        values = [value for value in values if len(value) <= LENGTH_MAX]
        seen.objects.bulk_create(
            [seen(field=field, value=value, folded=fold(value)) for value in values], batch_size=500
        )


class Migration(migrations.Migration):

    dependencies = [
        ("logs", "0002_marks_of_two_halves"),
    ]

    operations = [
        migrations.CreateModel(
            name="SeenValue",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("field", models.CharField(max_length=40)),
                ("value", models.CharField(max_length=200)),
                ("folded", models.CharField(help_text="The value as logs.query.fold makes it.", max_length=200)),
            ],
            options={
                "verbose_name": "seen value",
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["field", "folded"], name="logs_seenvalue_folded")],
                "constraints": [models.UniqueConstraint(fields=("field", "value"), name="logs_seenvalue_key")],
            },
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
