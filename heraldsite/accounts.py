"""The account that lets the first person in."""

from __future__ import annotations

import secrets

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction

FIRST_ACCOUNT = "admin"
# Members see no page but the one that changes their password, and leave the group by it.
MUST_CHANGE_PASSWORD = "must change password"  # noqa: S105 (a group's name)

# Without the characters that look like one another in a terminal's font.
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


def make_first_account() -> str | None:
    """Make the account `admin` where nobody has one yet, and return its one-time password; else None."""
    people = get_user_model().objects
    with transaction.atomic():
        if people.exists():
            return None
        password = one_time_password()
        person = people.create_superuser(FIRST_ACCOUNT, password=password)
        person.groups.add(Group.objects.get_or_create(name=MUST_CHANGE_PASSWORD)[0])
    return password


def one_time_password() -> str:
    """Return a random password of 16 letters and digits (79 bits), in groups that can be read aloud."""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(4))
