"""Patterns: what the Errors page knows of rows, whether they are still there or not."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('logs', '0005_permission_to_add'),
    ]

    operations = [
        migrations.CreateModel(
            name='Pattern',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('system_id', models.CharField(max_length=200)),
                ('key', models.CharField(help_text='What the rows have in common, as logs.patterns.shapes makes it.', max_length=32)),
                ('template', models.CharField(max_length=500)),
                ('exception', models.CharField(max_length=200)),
                ('frame', models.CharField(help_text='The innermost own frame of the traceback.', max_length=300)),
                ('logger', models.CharField(max_length=200)),
                ('levelno', models.IntegerField(help_text='The highest level it came at.')),
                ('words', models.TextField(help_text='What a search looks in, folded.')),
                ('count', models.BigIntegerField()),
                ('first_seen', models.DateTimeField()),
                ('last_seen', models.DateTimeField()),
                ('first_version', models.CharField(max_length=200)),
                ('newest_version', models.CharField(max_length=200)),
                ('versions', models.JSONField(default=list, help_text='For each version: name, first and last seen, count.')),
                ('samples', models.JSONField(default=list, help_text='Copies of its first row and of the newest ones.')),
                ('hours', models.JSONField(default=list, help_text='Pairs of hour (since 1970) and count, for the last 7 days.')),
                ('state', models.CharField(choices=[('open', 'Open'), ('resolved', 'Resolved'), ('ignored', 'Ignored')], default='open', max_length=8)),
                ('decided_at', models.DateTimeField(null=True)),
                ('decided_by', models.CharField(max_length=150)),
                ('resolved_in', models.CharField(help_text='The version with the mend; empty: any.', max_length=200)),
                ('regressed', models.BooleanField(default=False, help_text='It came back after it was resolved.')),
                ('regressed_at', models.DateTimeField(null=True)),
                ('regressed_in', models.CharField(max_length=200)),
            ],
            options={
                'verbose_name': 'pattern',
                'default_permissions': ('view', 'change', 'delete'),
                'indexes': [models.Index(fields=['state', 'regressed', 'last_seen', 'id'], name='logs_pattern_newest'), models.Index(fields=['system_id', 'last_seen'], name='logs_pattern_system')],
                'constraints': [models.UniqueConstraint(fields=('system_id', 'key'), name='logs_pattern_system_and_key'), models.CheckConstraint(condition=models.Q(('count__gt', 0)), name='logs_pattern_was_seen'), models.CheckConstraint(condition=models.Q(('state__in', ['open', 'resolved', 'ignored'])), name='logs_pattern_state_is_known'), models.CheckConstraint(condition=models.Q(('regressed', False), models.Q(('regressed_at__isnull', False), ('state', 'open')), _connector='OR'), name='logs_pattern_regressed_is_open'), models.CheckConstraint(condition=models.Q(('state', 'open'), ('decided_at__isnull', False), _connector='OR'), name='logs_pattern_was_decided')],
            },
        ),
        migrations.CreateModel(
            name='PatternTable',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('dropped', models.BigIntegerField(default=0)),
                ('dropped_at', models.DateTimeField(null=True)),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='logs_patterntable_one_row')],
            },
        ),
    ]
