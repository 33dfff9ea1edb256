"""Bridges in the admin: where rows go on to, who may send, whom this bridge hears of, and what has left."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from bridge import forward, health
from bridge.addresses import shown
from bridge.conversations import new_secret, secret_hash
from bridge.forms import CredentialForm, DestinationForm
from bridge.models import BridgeStatus, Credential, Departure, Destination, Hop
from logs.admin import ReadOnlyAdmin
from logs.rows import in_words, inert, short
from logs.templatetags.logs import codes

SECRETS = ("secret", "secret_hash", "hash_key")
"""Columns that nobody may look at, not even by asking the list whether one begins with this or that."""


@admin.register(BridgeStatus)
class BridgeStatusAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "address", "pid", "started", "updated", "stopped")
    readonly_fields = ("name", "host", "address", "pid", "started", "updated", "stopped", "figures")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: BridgeStatus | None = None) -> bool:
        return False


class SecretiveAdmin(admin.ModelAdmin[Any]):
    """Rows with a secret in them."""

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        if lookup.partition("__")[0] in SECRETS:
            return False
        return super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]


# --- Destinations ---------------------------------------------------------------------------------------------------

_STANDING = (
    *("how", "since", "waits", "rows", "newest", "rejected", "bridge_there", "clock", "last_error"),
    *("last_word", "holder"),
)


@admin.register(Destination)
class DestinationAdmin(SecretiveAdmin):
    form = DestinationForm
    list_display = ("name", "kind", "where", "standing", "waits", "enabled")
    list_filter = ("enabled", "kind")
    search_fields = ("name", "host")
    ordering = ("name",)
    actions = ("pause", "resume")
    readonly_fields = _STANDING
    save_on_top = True

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        where = ["name", "kind", ("host", "port"), "enabled"]
        credential = ["login"]
        # Who may only look is shown every field as it is stored.
        if self.has_change_permission(request, obj) if obj else self.has_add_permission(request):
            credential.append("secret")
        parts: list[tuple[str, dict[str, Any]]] = [
            ("Where", {"fields": where if obj else [*where, "from_start"]}),
            ("Which rows", {"fields": ["query", "level", "rate"]}),
            ("What is removed", {"fields": ["dropped", "masked", "hashed"]}),
            ("TLS", {"fields": ["tls", "tls_ca", "tls_server_name", "tls_certificate", "tls_key"]}),
            ("Credential", {"fields": credential}),
        ]
        if obj:
            parts.append(("How it stands", {"fields": list(_STANDING)}))
        return parts

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Its position is kept under its name: under another one it would begin anew.
        return ("name", *_STANDING) if obj else ()

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        given: Mapping[str, Any] = super().get_changeform_initial_data(request)
        return {"level": settings.BRIDGE_LEVEL, **given}

    def save_model(self, request: HttpRequest, obj: Destination, form: Any, change: bool) -> None:
        if change:
            # The forwarder writes how it stands into the same row, meanwhile.
            names = [name for name in form.changed_data if name != "from_start"]
            obj.save(update_fields={*names, "secret"})
            return
        forward.begin(obj, from_start=form.cleaned_data["from_start"])
        obj.save()

    @admin.action(description="Pause: let rows wait", permissions=["change"])
    def pause(self, request: HttpRequest, chosen: QuerySet[Destination]) -> None:
        self._switch(request, chosen, on=False)

    @admin.action(description="Resume: go on where it was paused", permissions=["change"])
    def resume(self, request: HttpRequest, chosen: QuerySet[Destination]) -> None:
        self._switch(request, chosen, on=True)

    def _switch(self, request: HttpRequest, chosen: QuerySet[Destination], *, on: bool) -> None:
        changed = list(chosen.exclude(enabled=on))
        Destination.objects.filter(pk__in=[each.pk for each in changed]).update(enabled=on)
        for each in changed:
            self.log_change(request, each, [{"changed": {"fields": ["enabled"]}}])
        if not changed:
            self.message_user(request, f"Nothing to do: what was chosen is {'on' if on else 'paused'} already.")
            return
        names = ", ".join(each.name for each in changed)
        told = (
            f"Resumed: {names}." if on else f"Paused: {names}. Rows for {'it' if len(changed) == 1 else 'them'} wait."
        )
        self.message_user(request, told, messages.SUCCESS)

    @admin.display(description="address")
    def where(self, destination: Destination) -> str:
        return shown(destination.host, destination.port)

    @admin.display(description="state")
    def standing(self, destination: Destination) -> SafeString:
        found = health.of_destination(destination, timezone.now())
        return format_html('<span class="state {}">{}</span>', found.tone.value, found.word)

    @admin.display(description="state")
    def how(self, destination: Destination) -> SafeString:
        found = health.of_destination(destination, timezone.now())
        sentence = codes(found.sentence)
        return format_html('<span class="state {}">{}</span> {}', found.tone.value, found.word, sentence)

    @admin.display(description="since")
    def since(self, destination: Destination) -> str:
        return _ago(health.of_destination(destination, timezone.now()).since)

    @admin.display(description="waiting rows", ordering="waiting")
    def waits(self, destination: Destination) -> str:
        return health.lag_in_words(destination.waiting, destination.lag_seconds)

    @admin.display(description="newest row there")
    def newest(self, destination: Destination) -> str:
        return _ago(destination.newest_row)

    @admin.display(description="forwarder's last word")
    def last_word(self, destination: Destination) -> str:
        return _ago(destination.updated)

    @admin.display(description="bridge there")
    def bridge_there(self, destination: Destination) -> SafeString | str:
        if not destination.far_bridge:
            return "-"
        told = f"{destination.far_name} (level {destination.far_level}, id {destination.far_bridge})"
        return codes(short(told, 500))

    @admin.display(description="clock there")
    def clock(self, destination: Destination) -> str:
        return health.clock_in_words(destination.clock_offset) or "-"

    @admin.display(description="last error")
    def last_error(self, destination: Destination) -> SafeString | str:
        if not destination.error:
            return "-"
        return format_html("{}: {}", _ago(destination.error_at), codes(inert(destination.error)))


def _ago(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC ({in_words(timezone.now() - at)} ago)" if at else "-"


# --- Credentials ----------------------------------------------------------------------------------------------------


@admin.register(Credential)
class CredentialAdmin(SecretiveAdmin):
    """The secret of a credential is made here, shown once, and kept as a hash."""

    form = CredentialForm
    fields = ("name", "systems", "may_relay", "enabled", "created", "last_seen", "last_peer")
    list_display = ("name", "systems_in_line", "may_relay", "enabled", "last_seen", "last_peer")
    list_filter = ("enabled", "may_relay")
    search_fields = ("name", "systems")
    ordering = ("name",)
    actions = ("renew",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if obj else ("name", "systems", "may_relay", "enabled")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("name", "created", "last_seen", "last_peer") if obj else ()

    def save_model(self, request: HttpRequest, obj: Credential, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=form.changed_data)
            return
        obj.save()
        self._show(request, obj, form.secret)

    @admin.action(description="Renew the secret", permissions=["change"])
    def renew(self, request: HttpRequest, chosen: QuerySet[Credential]) -> HttpResponse | None:
        """Replace the secrets of the chosen, after a page that asks whether that is meant."""
        if request.POST.get("confirmed") != "yes":
            context = {
                **self.admin_site.each_context(request),
                "title": "Renew secrets",
                "opts": self.opts,
                "chosen": chosen,
                "action_name": helpers.ACTION_CHECKBOX_NAME,
            }
            return TemplateResponse(request, "admin/bridge/credential/renew.html", context)
        for credential in chosen:
            secret = new_secret()
            Credential.objects.filter(pk=credential.pk).update(secret_hash=secret_hash(secret))
            self.log_change(request, credential, "Renewed the secret.")
            self._show(request, credential, secret)
        return None

    def _show(self, request: HttpRequest, credential: Credential, secret: str) -> None:
        told = format_html(
            "The secret of {} is <code>{}</code>. This is the only time it is shown: copy it now.", credential, secret
        )
        self.message_user(request, told, messages.WARNING)

    @admin.display(description="systems", ordering="systems")
    def systems_in_line(self, credential: Credential) -> SafeString:
        return codes(short(", ".join(credential.systems.split()), 120))


# --- What herald writes by itself -----------------------------------------------------------------------------------


@admin.register(Hop)
class HopAdmin(ReadOnlyAdmin):
    """Bridges that send here. One that is gone for good may be deleted; its next hello brings it back."""

    list_display = ("called", "state", "via", "level", "newest_beat", "newest_row")
    search_fields = ("name", "bridge")
    ordering = ("via", "name")

    def has_delete_permission(self, request: HttpRequest, obj: Hop | None = None) -> bool:
        return request.user.has_perm("bridge.delete_hop")

    @admin.display(description="name", ordering="name")
    def called(self, hop: Hop) -> SafeString:
        return codes(short(hop.name, 80) or hop.bridge)

    @admin.display(description="state")
    def state(self, hop: Hop) -> SafeString:
        found = health.of_hop(hop, timezone.now())
        return format_html('<span class="state {}">{}</span>', found.tone.value, found.word)


@admin.register(Departure)
class DepartureAdmin(ReadOnlyAdmin):
    """What left, hour by hour. It is never deleted: it is what people are asked for later."""

    list_display = ("hour", "destination", "address", "bridge_there", "rows", "bytes", "redacted")
    list_filter = ("destination",)
    search_fields = ("destination", "address")
    ordering = ("-hour", "destination")
    show_full_result_count = False

    @admin.display(description="bridge there")
    def bridge_there(self, departure: Departure) -> SafeString:
        return codes(short(departure.far_bridge, 64) or "-")
