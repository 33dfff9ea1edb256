"""Tokens in the admin: made, shown once, and revoked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import ForeignKey, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from heraldsite import tokens
from heraldsite.models import DAYS, DAYS_MAX, Token


class NewToken(forms.ModelForm[Token]):
    """What is asked of who makes a token; its secret is herald's to choose."""

    days = forms.IntegerField(min_value=1, max_value=DAYS_MAX, initial=DAYS, help_text="How long it is valid.")

    class Meta:
        model = Token
        fields = ("name", "owner", "scope")

    def save(self, commit: bool = True) -> Token:
        self.instance.created = timezone.now()
        self.instance.expires = self.instance.created + timedelta(days=self.cleaned_data["days"])
        return super().save(commit)


@admin.register(Token)
class TokenAdmin(admin.ModelAdmin[Token]):
    """Tokens are made, looked at, revoked and deleted; nobody changes one, and nobody sees its secret twice."""

    form = NewToken
    list_display = ("name", "begins", "owner", "scope", "state", "expires", "last_used", "last_peer")
    list_select_related = ("owner",)
    search_fields = ("name", "owner__username")
    ordering = ("name",)
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: Token | None = None) -> Any:
        if obj is None:
            return ["name", "owner", "scope", "days"]
        return ["name", "owner", "scope", "begins", "state", "created", "expires", "revoked", "last_used", "last_peer"]

    def has_change_permission(self, request: HttpRequest, obj: Token | None = None) -> bool:
        """Without an object this is about the list and its action, with one about its form."""
        return obj is None and super().has_change_permission(request)

    def formfield_for_foreignkey(self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Who is no superuser makes tokens for themselves alone: a token acts as its owner."""
        if db_field.name == "owner" and not request.user.is_superuser:
            people = db_field.remote_field.model._default_manager
            kwargs["queryset"] = people.filter(pk=request.user.pk)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Token, form: Any, change: bool) -> None:
        obj.secret = tokens.new_secret()  # type: ignore[attr-defined]
        tokens.give(obj, obj.secret)  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Token, post_url_continue: str | None = None) -> HttpResponse:
        """Show the secret, on a page that is kept nowhere."""
        context = self.admin_site.each_context(request) | {
            "title": f"Token {obj.name}",
            "opts": self.opts,
            "token": obj,
            "secret": obj.secret,  # type: ignore[attr-defined]
        }
        answer = TemplateResponse(request, "admin/heraldsite/token/made.html", context)
        answer["Cache-Control"] = "no-store"
        return answer

    @admin.action(description="Revoke the selected tokens", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Token]) -> None:
        queryset.filter(revoked=None).update(revoked=timezone.now())
        self.message_user(request, "They are accepted no longer.")

    @admin.display(description="begins with")
    def begins(self, token: Token) -> str:
        return f"{token.prefix}…"

    @admin.display(description="state")
    def state(self, token: Token) -> str:
        return token.state(timezone.now())
