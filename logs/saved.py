"""Saved searches: who may see which, and how one is made. Nobody reads another's unless it is shared."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Q, QuerySet

from logs.address import AddressError, Asked
from logs.models import SavedSearch
from logs.query import QueryError, parse
from logs.search import Person

OWN_MAX = 100
SHOWN_MAX = 200


def visible_to(person: Person) -> QuerySet[SavedSearch]:
    """Return the searches that `person` may see: the own ones and the shared ones, by name."""
    found = SavedSearch.objects.filter(Q(owner_id=person.pk) | Q(is_shared=True))
    return found.select_related("owner").order_by("name", "id")


def asked(saved: SavedSearch) -> Asked:
    """Return what a saved search asks for."""
    return Asked(saved.query, saved.last, saved.since, saved.until)


class SaveForm(forms.Form):
    """The name of a search to be saved, and whether it is shared; what it asks for comes as in an address.

    Whatever is saved must be a query: a text that the page searches for as it stands is refused.
    """

    name = forms.CharField(max_length=100)
    shared = forms.BooleanField(required=False)

    def __init__(self, person: Person, data: Any) -> None:
        super().__init__(data)
        self.person = person
        self.asked = Asked()

    def clean(self) -> dict[str, Any]:
        given = {name: self.data[name] for name in ("q", "last", "since", "until") if name in self.data}
        try:
            self.asked = Asked.parse(given)
            parse(self.asked.text)
        except AddressError as error:
            raise forms.ValidationError(str(error)) from error
        except QueryError as error:
            raise forms.ValidationError(f"Only a query can be saved. {error.advice}") from error
        own = SavedSearch.objects.filter(owner_id=self.person.pk).exclude(name=self.cleaned_data.get("name", ""))
        if own.count() >= OWN_MAX:
            raise forms.ValidationError(f"You have {OWN_MAX} saved searches; delete one first.")
        return self.cleaned_data

    def save(self) -> SavedSearch:
        """Save the search under its name; an own one of the same name is replaced."""
        values = {
            "query": self.asked.text,
            "last": self.asked.last,
            "since": self.asked.since,
            "until": self.asked.until,
            "is_shared": self.cleaned_data["shared"],
        }
        saved, _ = SavedSearch.objects.update_or_create(
            owner_id=self.person.pk, name=self.cleaned_data["name"], defaults=values
        )
        return saved

    @property
    def fault(self) -> str:
        """What is wrong, in one sentence or several."""
        return " ".join(str(sentence) for sentences in self.errors.values() for sentence in sentences)
