"""Which version of a system ran on which host, since when, and when it was last heard of."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('logs', '0007_retention_policies'),
    ]

    operations = [
        migrations.CreateModel(
            name='SystemVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('system_id', models.CharField(max_length=200)),
                ('sub_system_id', models.CharField(max_length=200, verbose_name='host')),
                ('version', models.CharField(max_length=200)),
                ('first_seen', models.DateTimeField()),
                ('last_seen', models.DateTimeField()),
            ],
            options={
                'verbose_name': 'version of a system',
                'verbose_name_plural': 'versions of systems',
                'default_permissions': ('view', 'delete'),
                'indexes': [models.Index(fields=['last_seen'], name='logs_systemversion_seen')],
                'constraints': [models.UniqueConstraint(fields=('system_id', 'sub_system_id', 'version'), name='logs_systemversion_key')],
            },
        ),
    ]
