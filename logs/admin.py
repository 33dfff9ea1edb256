"""The log in the admin: to look at, never to change."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import CharField, QuerySet, TextField
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from logs import search
from logs.address import AddressError, Asked
from logs.ages import as_kept, read_age, write_age
from logs.models import (
    HeartBeat,
    Level,
    Log,
    LogCount,
    Pattern,
    PruneRequest,
    ReaderPosition,
    RetentionPolicy,
    SeenValue,
    SenderMark,
)
from logs.query import Query, parse_or_text
from logs.rows import in_words, inert, short
from logs.templatetags.logs import codes

PER_PAGE = 100
MESSAGE_SHOWN = 300


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """Rows that herald writes by itself: nobody adds or changes them here."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return the row with every invisible character in it made visible: it is shown, and nothing else."""
        row = super().get_object(request, object_id, from_field)
        for field in self.opts.concrete_fields if row is not None else ():
            if isinstance(field, CharField | TextField):
                setattr(row, field.attname, inert(getattr(row, field.attname)))
        return row

    @admin.display(description="system", ordering="system_id")
    def system(self, row: Any) -> SafeString:
        return codes(short(row.system_id, 60) or "(none)")


class LogChangeList(ChangeList):
    """A page of Log by the search the log page uses: by id, without COUNT and without OFFSET."""

    older = ""
    newer = ""
    complete = True
    cursors = ("before", "after")

    def get_filters_params(self, params: dict[str, Any] | None = None) -> dict[str, Any]:
        found = super().get_filters_params(params)
        return {name: value for name, value in found.items() if name not in self.cursors}

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Return the rows the filters offer links for; the page itself comes from `search.page`."""
        specs, self.has_filters, _, _, self.has_active_filters = self.get_filters(request)
        self.filter_specs = specs
        self.clear_all_filters_qs = self.get_query_string(remove=[*self.get_filters_params(), *self.cursors])
        return self.root_queryset.none()

    def get_results(self, request: HttpRequest) -> None:
        before, after = self._number("before"), self._number("after")
        if before is not None and after is not None:
            raise IncorrectLookupParameters("give either before or after")
        query = self._query()
        if misread := parse_or_text(self.query).misread:
            messages.warning(request, f"Searched as text, for it is no query. {inert(str(misread))}")
        page = search.page(request.user, query, before=before, after=after, limit=self.list_per_page)
        self.result_list = [Log(**row) for row in page.rows]
        self.result_count = len(self.result_list)
        # The same number twice: Django then says nothing about a total, which nobody has counted.
        self.full_result_count = self.result_count
        self.show_full_result_count = False
        self.show_admin_actions = False
        self.can_show_all = False
        self.multi_page = False
        self.paginator = Paginator(self.result_list, self.list_per_page)
        self.complete = page.is_complete
        self.older = self._link(before=page.older)
        self.newer = self._link(after=page.newer)

    def _query(self) -> Query:
        given = {"q": self.query} | {name: self.params.get(name, "") for name in ("level", "system_id")}
        try:
            return Asked.parse(given).query(timezone.now())
        except AddressError as error:
            raise IncorrectLookupParameters(str(error)) from error

    def _number(self, name: str) -> int | None:
        text = self.params.get(name, "")
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) < 2**63):
            raise IncorrectLookupParameters(f"{name} is the number of a row")
        return int(text)

    def _link(self, **cursor: int | None) -> str:
        kept = {name: value for name, value in self.params.items() if name not in self.cursors}
        wanted = {name: value for name, value in cursor.items() if value is not None}
        return "?" + urlencode(kept | wanted) if wanted else ""


class LevelFilter(admin.SimpleListFilter):
    """The lowest level wanted."""

    title = "level"
    parameter_name = "level"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, f"≥ {name}") for name in Level.names if name != "NOTSET"]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset


class SystemFilter(admin.SimpleListFilter):
    """The systems that have given a sign of life."""

    title = "system"
    parameter_name = "system_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        known = HeartBeat.objects.order_by("system_id").values_list("system_id", flat=True).distinct()
        return [(name, short(name, 40)) for name in known[:100]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset


@admin.register(Log)
class LogAdmin(ReadOnlyAdmin):
    list_display = ("arrived", "level", "system", "text")
    list_filter = (LevelFilter, SystemFilter)
    list_per_page = PER_PAGE
    search_fields = ("message",)
    search_help_text = (
        'Words of the message or of the traceback, or a query: level:>=ERROR system:billing "card declined"'
    )
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    actions = None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LogChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Log]:
        return search.visible_to(request.user).rows()

    @admin.display(description="received")
    def arrived(self, row: Log) -> str:
        return f"{row.received:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="level")
    def level(self, row: Log) -> SafeString:
        return codes(short(row.levelname, 20) or row.levelno)

    @admin.display(description="message")
    def text(self, row: Log) -> SafeString:
        page = reverse("logs:row", args=[row.pk])
        return format_html('{} <a href="{}">everything</a>', codes(short(row.message, MESSAGE_SHOWN)), page)


@admin.register(HeartBeat)
class HeartBeatAdmin(ReadOnlyAdmin):
    """Signs of life. A system that is gone for good may be deleted; its next record brings it back."""

    list_display = ("system", "host", "age", "newest_heartbeat", "first_heartbeat")
    search_fields = ("system_id", "sub_system_id")
    ordering = ("-newest_heartbeat",)

    def has_delete_permission(self, request: HttpRequest, obj: HeartBeat | None = None) -> bool:
        return request.user.has_perm("logs.delete_heartbeat")

    @admin.display(description="host", ordering="sub_system_id")
    def host(self, beat: HeartBeat) -> SafeString:
        return codes(inert(beat.sub_system_id))

    @admin.display(description="age", ordering="-newest_heartbeat")
    def age(self, beat: HeartBeat) -> str:
        return in_words(timezone.now() - beat.newest_heartbeat)


@admin.register(LogCount)
class LogCountAdmin(ReadOnlyAdmin):
    list_display = ("minute", "system", "level", "count", "writer")
    list_filter = ("level",)
    search_fields = ("system_id",)
    ordering = ("-minute", "system_id", "level")


@admin.register(ReaderPosition)
class ReaderPositionAdmin(ReadOnlyAdmin):
    list_display = ("name", "position", "updated", "cut")
    ordering = ("name",)


@admin.register(SenderMark)
class SenderMarkAdmin(ReadOnlyAdmin):
    list_display = ("sender", "owner", "high", "low", "updated")
    search_fields = ("sender",)
    ordering = ("sender",)


class AgeField(forms.Field):
    """A duration as people write it: `30 d`, `6 h`."""

    def prepare_value(self, value: Any) -> Any:
        return write_age(value) if isinstance(value, timedelta) else value

    def to_python(self, value: Any) -> Any:
        if value in self.empty_values:
            return None
        try:
            return read_age(str(value))
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class PolicyForm(forms.ModelForm[RetentionPolicy]):
    age = AgeField(help_text=RetentionPolicy._meta.get_field("age").help_text)


@admin.register(RetentionPolicy)
class RetentionPolicyAdmin(admin.ModelAdmin[RetentionPolicy]):
    """How long which rows are kept. `manage.py prune_logs --dry-run` tells what a policy would delete."""

    form = PolicyForm
    fields = ("name", "query", "age", "order", "enabled")
    list_display = ("name", "order", "kept", "query", "enabled")

    @admin.display(description="kept", ordering="age")
    def kept(self, policy: RetentionPolicy) -> str:
        return as_kept(policy.age)


@admin.register(PruneRequest)
class PruneRequestAdmin(ReadOnlyAdmin):
    list_display = ("asked", "asked_by", "finished", "deleted", "error")
    ordering = ("-id",)


@admin.register(SeenValue)
class SeenValueAdmin(ReadOnlyAdmin):
    list_display = ("field", "shown")
    list_filter = ("field",)
    search_fields = ("value",)
    ordering = ("field", "value")

    @admin.display(description="value", ordering="value")
    def shown(self, row: SeenValue) -> SafeString:
        return codes(short(row.value, 200) or "(more than are kept)")


@admin.register(Pattern)
class PatternAdmin(ReadOnlyAdmin):
    """What the Errors page shows. One that is deleted begins anew with its next row."""

    list_display = ("shape", "system", "count", "state", "last_seen")
    list_filter = ("state", "regressed")
    search_fields = ("words",)
    ordering = ("-last_seen", "-id")

    def has_delete_permission(self, request: HttpRequest, obj: Pattern | None = None) -> bool:
        return request.user.has_perm("logs.delete_pattern")

    @admin.display(description="template")
    def shape(self, pattern: Pattern) -> SafeString:
        return codes(short(pattern.template, MESSAGE_SHOWN) or "(empty)")
