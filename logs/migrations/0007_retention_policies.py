"""Policies that say how long which rows are kept, and the requests of people to delete old rows now."""

from __future__ import annotations

import datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('logs', '0006_patterns'),
    ]

    operations = [
        migrations.CreateModel(
            name='PruneRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('asked_by', models.CharField(max_length=150)),
                ('asked', models.DateTimeField()),
                ('default_age', models.DurationField(help_text='What was shown as the age for rows without a policy.')),
                ('taken', models.DateTimeField(null=True)),
                ('updated', models.DateTimeField(null=True)),
                ('finished', models.DateTimeField(null=True)),
                ('deleted', models.BigIntegerField(default=0)),
                ('error', models.CharField(default='', max_length=500)),
            ],
            options={
                'verbose_name': 'request to delete old rows',
                'verbose_name_plural': 'requests to delete old rows',
                'default_permissions': ('view',),
                'constraints': [models.UniqueConstraint(models.Value(1), condition=models.Q(('finished', None)), name='logs_prunerequest_one_open')],
            },
        ),
        migrations.CreateModel(
            name='RetentionPolicy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=80, unique=True)),
                ('query', models.TextField(help_text="The rows it is about, in herald's query language.")),
                ('age', models.DurationField(help_text='How long they are kept, such as 90 d, 6 h or 45 min.')),
                ('enabled', models.BooleanField(default=True)),
                ('order', models.PositiveIntegerField(default=100, help_text='The first policy that a row fits decides.')),
            ],
            options={
                'verbose_name': 'retention policy',
                'verbose_name_plural': 'retention policies',
                'ordering': ('order', 'id'),
                'constraints': [models.CheckConstraint(condition=models.Q(('age__gt', datetime.timedelta(0))), name='logs_retentionpolicy_age')],
            },
        ),
    ]
