"""Who gets which page of the portal; what is on it is for the API to say."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import LoginView, LogoutView, redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from servicedesk.admin import SignInForm
from tickets.models import Ticket

Page = Callable[..., HttpResponse]


class CustomerSignInForm(SignInForm):
    """Takes whoever has an account; agents are shown on to the console."""

    def confirm_login_allowed(self, user: Any) -> None:
        """Inactive users have failed already, and hear no more than that."""


class SignInView(LoginView):
    template_name = "portal/sign_in.html"
    authentication_form = CustomerSignInForm
    redirect_authenticated_user = True
    next_page = "portal:tickets"


class SignOutView(LogoutView):
    next_page = "portal:sign_in"


def customers_page(page: Page) -> Page:
    """For those who are signed in; agents and supervisors go on to the same in the console."""

    @require_safe
    @wraps(page)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path(), reverse("portal:sign_in"))
        if request.user.is_desk_staff:
            return redirect(_in_the_console(**kwargs))
        return page(request, *args, **kwargs)

    return shown


def _in_the_console(pk: int | None = None) -> str:
    return reverse("admin:tickets_ticket_change", args=[pk]) if pk else reverse("admin:index")


@customers_page
def tickets(request: HttpRequest) -> HttpResponse:
    return render(request, "portal/tickets.html")


@customers_page
def new(request: HttpRequest) -> HttpResponse:
    return render(request, "portal/new.html")


@customers_page
def ticket(request: HttpRequest, pk: int) -> HttpResponse:
    if not Ticket.objects.visible_to(request.user).filter(pk=pk).exists():
        return render(request, "portal/absent.html", status=404)
    return render(request, "portal/ticket.html", {"pk": pk})
