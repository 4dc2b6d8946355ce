"""Accounts in the console. Every change goes through `agents.services`."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from agents import services, sessions
from agents.admin.base import ConsoleAdmin, moment
from agents.models import Session, User


class UserForm(forms.ModelForm):  # type: ignore[type-arg]
    new_password = forms.CharField(
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Empty: the password stays as it is; a new account cannot sign in yet.",
    )

    class Meta:
        model = User
        fields = ("username", "name", "email", "role", "is_active")

    def _post_clean(self) -> None:
        # After the model's own rules, since a password must not resemble the other fields.
        super()._post_clean()  # type: ignore[misc]
        if password := self.cleaned_data.get("new_password"):
            try:
                validate_password(password, self.instance)
            except ValidationError as refused:
                self.add_error("new_password", refused)


@admin.register(User)
class UserAdmin(ConsoleAdmin):
    form = UserForm
    list_display = ("display_name", "username", "email", "role", "is_active", "last_seen")
    list_display_links = ("display_name",)
    list_filter = ("role", "is_active")
    search_fields = ("username", "name", "email")
    search_help_text = "Name, username or e-mail"
    ordering = ("name", "pk")
    sortable_by = ("display_name", "username", "last_seen")
    readonly_fields = ("agent_page", "live_sessions", "last_seen", "joined")
    actions = ("sign_out_everywhere",)

    @admin.display(description="name", ordering="name")
    def display_name(self, user: User) -> str:
        return user.display_name

    @admin.display(description="last sign-in", ordering="last_login")
    def last_seen(self, user: User) -> str | None:
        return moment(user.last_login)

    @admin.display(description="joined")
    def joined(self, user: User) -> str | None:
        return moment(user.date_joined)

    @admin.display(description="as an agent")
    def agent_page(self, user: User) -> str:
        if user.pk is None or not user.is_desk_staff:
            return "Only agents and supervisors have capacity, teams and skills."
        address = reverse("admin:agents_agentprofile_change", args=[user.pk])
        return format_html('<a href="{}">Capacity, availability, teams and skills</a>', address)

    @admin.display(description="signed in")
    def live_sessions(self, user: User) -> str:
        count = Session.objects.live().filter(user=user.pk).count()
        return f"{count} API session{'' if count == 1 else 's'}"

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        data = dict(form.cleaned_data)
        password = data.pop("new_password") or None
        if change:
            caller = cast(User, request.user)
            services.update_user(
                user=obj, at=timezone.now(), actor=caller, password=password, **data
            )
            return
        obj.pk = services.create_user(password=password, **data).pk
        obj._state.adding = False

    @admin.action(description="Sign out everywhere", permissions=["change"])
    def sign_out_everywhere(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        users = list(queryset)
        for user in users:
            sessions.sign_out_everywhere(user=user, at=timezone.now())
        messages.success(request, f"Signed out everywhere: {', '.join(map(str, users))}.")
