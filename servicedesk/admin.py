"""The console: Django's admin with the desk's name and its one way to sign in."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError
from django.utils import timezone

from agents.sign_in import check_credentials
from servicedesk.api.addresses import client_address
from servicedesk.errors import DomainError


class SignInForm(AdminAuthenticationForm):
    """Counts failures like the API does, by the same service."""

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
    login_form = SignInForm
