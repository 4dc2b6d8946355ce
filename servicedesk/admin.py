"""The console: Django's admin with the desk's name, its one way to sign in and its services."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth.forms import UsernameField
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils import timezone

from agents import services
from agents.models import Availability, User
from agents.sign_in import WrongCredentials, check_credentials
from servicedesk.api.addresses import client_address
from servicedesk.errors import DomainError

# The application list, and each application's own: what most people come for is first.
FIRST_APP, FIRST_MODEL = "tickets", "Ticket"


class SignInForm(AdminAuthenticationForm):
    """Counts failures like the API does, by the same service."""

    username = UsernameField(
        label="Username or e-mail", widget=forms.TextInput(attrs={"autofocus": True})
    )

    def clean(self) -> dict[str, Any]:
        name = self.cleaned_data.get("username")
        password = self.cleaned_data.get("password")
        if name and password and self.request is not None:
            address = client_address(self.request)
            try:
                self.user_cache = check_credentials(
                    name=name, password=password, address=address, at=timezone.now()
                )
            except DomainError as refused:
                raise ValidationError(refused.detail) from refused
            self.user_cache.backend = "agents.backends.RoleBackend"
            self.confirm_login_allowed(self.user_cache)
        return self.cleaned_data

    def confirm_login_allowed(self, user: Any) -> None:
        if not user.is_desk_staff:
            raise ValidationError("This console is for agents and supervisors.")


class OwnPasswordForm(AdminPasswordChangeForm):
    """Guessing the old password is limited like signing in is, by the same counter."""

    def __init__(self, *args: Any, address: str, **kwargs: Any) -> None:
        self.address = address
        super().__init__(*args, **kwargs)

    def clean_old_password(self) -> str:
        password = str(self.cleaned_data["old_password"])
        name = self.user.get_username()
        try:
            check_credentials(name=name, password=password, address=self.address, at=timezone.now())
        except WrongCredentials as refused:
            raise ValidationError("The old password is wrong.") from refused
        except DomainError as refused:
            raise ValidationError(refused.detail) from refused
        return password

    def save(self, commit: bool = True) -> Any:
        # The view keeps the session of whom it finds here: the one with the new stamp.
        password = self.cleaned_data["new_password1"]
        self.user = services.update_user(
            user=self.user, at=timezone.now(), actor=self.user, password=password
        )
        return self.user


class OwnPasswordView(PasswordChangeView):
    form_class = OwnPasswordForm

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "address": client_address(self.request)}


class AvailabilityForm(forms.Form):
    availability = forms.ChoiceField(choices=Availability.choices)
    reassign = forms.BooleanField(required=False, label="Leaving: hand back unanswered tickets")


class DeskAdminSite(admin.AdminSite):
    site_header = "Service desk"
    site_title = "Service desk"
    index_title = "Console"
    # There is no other site to view yet, and the few lists stand in a row at the top.
    site_url = None
    enable_nav_sidebar = False
    login_form = SignInForm

    def get_urls(self) -> list[URLPattern | URLResolver]:
        own = path("availability/", self.admin_view(self.availability), name="availability")
        return [own, *super().get_urls()]

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Any:
        """A refusal is a page of the console, with a way back."""

        @wraps(view)
        def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                return view(request, *args, **kwargs)
            except PermissionDenied:
                return self._refused(request)

        return super().admin_view(answered, cacheable)

    def _refused(self, request: HttpRequest) -> HttpResponse:
        context = {
            **self.each_context(request),
            "title": "Not for you",
            "reason": "Your role may not do this, or it cannot be done to this row.",
        }
        return TemplateResponse(request, "admin/403.html", context, status=403)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        apps: list[Any] = super().get_app_list(request, app_label)
        for app in apps:
            app["models"].sort(key=lambda model: model["object_name"] != FIRST_MODEL)
        return sorted(apps, key=lambda app: app["app_label"] != FIRST_APP)

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        # Not before the apps' own admin modules are there, which need this site.
        from tickets.admin import start

        assert isinstance(request.user, User)
        agent = getattr(request.user, "agent", None)
        form = agent and AvailabilityForm(initial={"availability": agent.availability})
        context = {
            "title": "Start",
            "availability": form,
            **start.context_of(request.user, timezone.now()),
        }
        return super().index(request, {**context, **(extra_context or {})})

    def availability(self, request: HttpRequest) -> HttpResponse:
        """Come and go, by the service that the API calls."""
        form = AvailabilityForm(request.POST)
        if request.method == "POST" and form.is_valid():
            assert isinstance(request.user, User)
            chosen = Availability(form.cleaned_data["availability"])
            try:
                services.set_availability(
                    user=request.user,
                    availability=chosen,
                    at=timezone.now(),
                    reassign=form.cleaned_data["reassign"],
                )
                messages.success(request, f"You are {chosen.label.lower()} now.")
            except DomainError as refused:
                messages.error(request, refused.detail)
        return redirect("admin:index")

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        view = OwnPasswordView.as_view(
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        request.current_app = self.name
        return view(request)

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        if "\x00" in request.GET.get("term", ""):
            # PostgreSQL has no such text, so nothing can match it.
            return JsonResponse({"results": [], "pagination": {"more": False}})
        return super().autocomplete_view(request)
