"""The doors of the site: logging in, passwords, whether herald is well, and the page for what has failed."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views as auth
from django.contrib.auth.forms import PasswordChangeForm
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from heraldsite.access import must_change_password
from heraldsite.accounts import MUST_CHANGE_PASSWORD


class Login(auth.LoginView):
    """The login page; who is in already goes on."""

    redirect_authenticated_user = True


class ChangePassword(auth.PasswordChangeView):
    """Changes one's own password, and lets somebody in who had to do that first."""

    template_name = "registration/password.html"
    success_url = reverse_lazy("logs:index")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"must_change": must_change_password(self.request.user)}

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        response = super().form_valid(form)
        person = form.user
        person.groups.remove(*person.groups.filter(name=MUST_CHANGE_PASSWORD))
        messages.success(self.request, "Your password has been changed.")
        return response


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Tell a supervisor whether the database answers: 200 and `ok`, or 503. Nothing else is told to strangers."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return HttpResponse("the database does not answer\n", status=503, content_type="text/plain")
    return HttpResponse("ok\n", content_type="text/plain")


def failed(request: HttpRequest) -> HttpResponse:
    """The page for an error of herald's own. It asks nobody anything: what failed may be the database."""
    return HttpResponse(render_to_string("500.html", {"stage": settings.STAGE}), status=500)
