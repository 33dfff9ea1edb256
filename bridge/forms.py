"""The forms by which people make and change destinations and credentials."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError

from bridge import forward
from bridge.conversations import new_secret, secret_hash
from bridge.models import Credential, Destination

WHERE = frozenset({"host", "port", "tls", "tls_ca", "tls_server_name", "login"})
LINES = forms.Textarea(attrs={"rows": 4, "cols": 60})


class DestinationForm(forms.ModelForm):  # type: ignore[type-arg]
    """A destination. Its secret is never shown; a field left empty keeps it."""

    kind = forms.CharField(
        widget=forms.Select,
        help_text="herald: each row exactly once. ps_bridge: an original one, slowly. stock: any receiver of SocketHandler frames.",
    )
    secret = forms.CharField(
        required=False,
        strip=True,
        max_length=500,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
        help_text="Its secret. It is never shown again; left empty, it stays as it is. Without a credential's name "
        "there is none.",
    )
    from_start = forms.BooleanField(
        required=False,
        label="Also the rows that are here already",
        help_text="Otherwise it begins with the next row.",
    )

    class Meta:
        model = Destination
        fields = (
            *("name", "kind", "host", "port", "enabled", "query", "level", "rate", "dropped", "masked", "hashed"),
            *("tls", "tls_ca", "tls_server_name", "tls_certificate", "tls_key", "login", "secret"),
        )
        widgets = dict.fromkeys(("query", "dropped", "masked", "hashed"), LINES)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept_secret = self.instance.secret
        # Neither the page nor the comparison that finds what was changed has a use for the one that is stored.
        self.initial.pop("secret", None)
        if "kind" in self.fields:
            offered = {*forward.forwarders, self.initial.get("kind") or "herald"}
            self.fields["kind"].widget.choices = [(name, name) for name in sorted(offered)]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        login, typed = cleaned.get("login"), cleaned.get("secret")
        if typed and not login:
            self.add_error("login", "Give the name of the credential that this secret belongs to.")
        if login and not (typed or self._kept_secret):
            self.add_error("secret", "Give the secret of this credential.")
        elif login and not typed and self.instance.pk and WHERE.intersection(self.changed_data):
            # Or whoever may change an address could have the secret sent to one of their own.
            self.add_error("secret", "The address has changed: give the secret again.")
        if cleaned.get("kind") == "ps_bridge" and not cleaned.get("rate"):
            cleaned["rate"] = forward.OLD_BRIDGE_RATE
        cleaned["secret"] = (typed or self._kept_secret) if login else ""
        return cleaned

    def _post_clean(self) -> None:
        """Ask those who will forward for it whether the destination makes sense, once each field does."""
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            forward.check(self.instance)
        except ValidationError as error:
            for name, texts in error.message_dict.items():
                self.add_error(name if name in self.fields else NON_FIELD_ERRORS, texts)


class CredentialForm(forms.ModelForm):  # type: ignore[type-arg]
    """Who may send as whom. `secret` holds the new one after a save that made it; nothing else ever does."""

    secret = ""

    class Meta:
        model = Credential
        fields = ("name", "systems", "may_relay", "enabled")
        widgets = {"systems": LINES}

    def clean_systems(self) -> str:
        """Return one system id a line, each once."""
        lines = (line.strip() for line in self.cleaned_data["systems"].splitlines())
        return "\n".join(dict.fromkeys(line for line in lines if line))

    def save(self, commit: bool = True) -> Any:
        if self.instance.pk is None:
            self.secret = new_secret()
            self.instance.secret_hash = secret_hash(self.secret)
        return super().save(commit)
