"""The first tables. Log is written by hand per engine; Django's state knows it as a plain model."""

from __future__ import annotations

from django.db import migrations, models


class CreateLog(migrations.CreateModel):
    """CREATE TABLE logs_log: plain on SQLite; partitioned by day of `received`, with `tx`, on PostgreSQL."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor != "postgresql":
            return super().database_forwards(app_label, schema_editor, from_state, to_state)
        log = to_state.apps.get_model(app_label, self.name)
        if not self.allow_migrate_model(schema_editor.connection.alias, log):
            return
        columns = [
            f"{schema_editor.quote_name(field.column)} {field.db_type(schema_editor.connection)}"
            + ("" if field.null else " NOT NULL")
            for field in log._meta.local_fields
            if not field.primary_key
        ]
        schema_editor.execute("CREATE SEQUENCE logs_log_id_seq CACHE 1", params=None)
        schema_editor.execute(
            "CREATE TABLE logs_log (id bigint NOT NULL DEFAULT nextval('logs_log_id_seq'), tx bigint NOT NULL, "
            + ", ".join(columns)
            + ", PRIMARY KEY (id, received)) PARTITION BY RANGE (received)",
            params=None,
        )
        schema_editor.execute("ALTER SEQUENCE logs_log_id_seq OWNED BY logs_log.id", params=None)
        schema_editor.execute("CREATE TABLE logs_log_default PARTITION OF logs_log DEFAULT", params=None)
        schema_editor.execute("CREATE INDEX logs_log_tx ON logs_log (tx, id)", params=None)
        for index in log._meta.indexes:
            schema_editor.add_index(log, index)


def create_text_index(apps, schema_editor):
    """An index for substrings of message and exc_text, kept in step with inserts by the store, with deletes by the engine."""
    if schema_editor.connection.alias != "default":
        return
    for statement in TEXT_INDEX[schema_editor.connection.vendor]:
        schema_editor.execute(statement, params=None)


def drop_text_index(apps, schema_editor):
    if schema_editor.connection.alias != "default":
        return
    for statement in TEXT_INDEX_UNDO[schema_editor.connection.vendor]:
        schema_editor.execute(statement, params=None)


# The FTS5 table holds no text of its own (content=), so a row that goes must be named to it with its old text.
# detail=none keeps a third of the size; phrases are verified against the row itself. New rows are added by
# logs.store, a batch at a time: a trigger would make FTS5 write out its index after every single row (20 times slower).
TEXT_INDEX = {
    "sqlite": [
        "CREATE VIRTUAL TABLE logs_log_text USING fts5(message, exc_text, content='logs_log', content_rowid='id', "
        "tokenize='trigram', detail=none, columnsize=0)",
        "CREATE TRIGGER logs_log_text_delete AFTER DELETE ON logs_log BEGIN "
        "INSERT INTO logs_log_text (logs_log_text, rowid, message, exc_text) "
        "VALUES ('delete', old.id, old.message, old.exc_text); END",
    ],
    "postgresql": [
        "CREATE EXTENSION IF NOT EXISTS pg_trgm",
        "CREATE INDEX logs_log_text ON logs_log USING gin (message gin_trgm_ops, exc_text gin_trgm_ops)",
    ],
}
TEXT_INDEX_UNDO = {
    "sqlite": [
        "DROP TRIGGER logs_log_text_delete",
        "DROP TABLE logs_log_text",
    ],
    "postgresql": ["DROP INDEX logs_log_text"],
}


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='ReaderPosition',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200, unique=True)),
                ('position', models.CharField(max_length=64)),
                ('updated', models.DateTimeField(auto_now=True)),
            ],
            options={
                'verbose_name': "reader's position",
                'default_permissions': ('view', 'delete'),
            },
        ),
        migrations.CreateModel(
            name='SenderMark',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sender', models.CharField(max_length=200, unique=True)),
                ('mark', models.BigIntegerField()),
            ],
            options={
                'verbose_name': "sender's mark",
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='HeartBeat',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('system_id', models.CharField(max_length=200)),
                ('sub_system_id', models.CharField(max_length=200, verbose_name='host')),
                ('first_heartbeat', models.DateTimeField()),
                ('newest_heartbeat', models.DateTimeField()),
            ],
            options={
                'verbose_name': 'heartbeat',
                'default_permissions': ('view', 'delete'),
                'constraints': [models.UniqueConstraint(fields=('system_id', 'sub_system_id'), name='logs_heartbeat_system_and_host')],
            },
        ),
        CreateLog(
            name='Log',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('created', models.DateTimeField()),
                ('received', models.DateTimeField()),
                ('system_id', models.CharField(max_length=200)),
                ('sub_system_id', models.CharField(max_length=200)),
                ('sub_sub_system_id', models.CharField(max_length=200)),
                ('produkt_id', models.CharField(max_length=200)),
                ('user_spec_1', models.CharField(max_length=200)),
                ('user_spec_2', models.CharField(max_length=200)),
                ('package_version', models.CharField(max_length=200)),
                ('api_version', models.CharField(max_length=200)),
                ('name', models.CharField(max_length=1000)),
                ('levelno', models.IntegerField()),
                ('levelname', models.CharField(max_length=1000)),
                ('message', models.TextField()),
                ('args', models.TextField()),
                ('exc_info', models.TextField()),
                ('exc_text', models.TextField()),
                ('stack_info', models.TextField()),
                ('pathname', models.CharField(max_length=1000)),
                ('filename', models.CharField(max_length=1000)),
                ('module', models.CharField(max_length=1000)),
                ('funcname', models.CharField(max_length=1000)),
                ('lineno', models.IntegerField(null=True)),
                ('process', models.IntegerField(null=True)),
                ('processname', models.CharField(max_length=1000)),
                ('thread', models.BigIntegerField(null=True)),
                ('threadname', models.CharField(max_length=1000)),
                ('taskname', models.CharField(max_length=1000)),
                ('asctime', models.CharField(max_length=1000)),
                ('summary', models.CharField(max_length=1000)),
                ('msecs', models.FloatField(null=True)),
                ('relativecreated', models.FloatField(null=True)),
                ('extra', models.JSONField(default=dict, help_text='Every key of the record that has no column.')),
                ('peer', models.CharField(help_text='The address the record came from.', max_length=200)),
                ('origin', models.JSONField(default=list, help_text='The bridges the record came through, with times.')),
                ('flags', models.CharField(help_text='What herald had to mend: created, cut, odd.', max_length=200)),
            ],
            options={
                'verbose_name': 'log',
                'default_permissions': ('view', 'delete'),
                'indexes': [models.Index(fields=['created', 'id'], name='logs_log_created'), models.Index(fields=['system_id', 'id'], name='logs_log_system'), models.Index(condition=models.Q(('levelno__gte', 40)), fields=['system_id', 'id'], name='logs_log_system_error')],
            },
        ),
        migrations.CreateModel(
            name='LogCount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('minute', models.DateTimeField()),
                ('system_id', models.CharField(max_length=200)),
                ('level', models.PositiveSmallIntegerField(choices=[(0, 'NOTSET'), (10, 'DEBUG'), (20, 'INFO'), (30, 'WARNING'), (40, 'ERROR'), (50, 'CRITICAL')], help_text='levelno, cut down to a standard level.')),
                ('writer', models.CharField(max_length=200)),
                ('count', models.BigIntegerField()),
            ],
            options={
                'verbose_name': 'minute count',
                'default_permissions': ('view',),
                'constraints': [models.UniqueConstraint(fields=('minute', 'system_id', 'level', 'writer'), name='logs_logcount_key')],
            },
        ),
        migrations.CreateModel(
            name='StoreState',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('tx_offset', models.BigIntegerField(default=0)),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='logs_storestate_one_row')],
            },
        ),
        migrations.RunPython(create_text_index, drop_text_index),
    ]
