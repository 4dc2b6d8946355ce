"""The console: Django's admin with the desk's name and its one way to sign in."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import UsernameField
from django.core.exceptions import ValidationError
from django.utils import timezone

from agents.sign_in import check_credentials
from servicedesk.api.addresses import client_address
from servicedesk.errors import DomainError


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


class DeskAdminSite(admin.AdminSite):
    site_header = "Service desk"
    site_title = "Service desk"
    index_title = "Console"
    # There is no other site to view yet, and the few lists stand in a row at the top.
    site_url = None
    enable_nav_sidebar = False
    login_form = SignInForm
