"""Who the person is, by username or e-mail; and what a role may do in the console."""

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.db.models.functions import Lower
from django.http import HttpRequest

from agents.models import Role, User

# Django permissions by role: what the admin shows. Supervisors have all of these apps.
SUPERVISED_APPS = ("agents.", "tickets.", "attachments.")
AGENT_PERMISSIONS = frozenset(
    {
        "tickets.view_ticket",
        "tickets.change_ticket",
        "tickets.view_category",
        "attachments.view_attachment",
        "agents.view_team",
        "agents.view_skill",
        "agents.view_agentprofile",
    }
)


def find_user(name: str) -> User | None:
    """The user with this username or e-mail, whatever the case; never two (no @ in usernames)."""
    lowered = name.strip().lower()
    if not lowered:
        return None
    if "@" in lowered:
        # As the index of the addresses has it: without the condition no plan may use it.
        users = User.objects.alias(lower_email=Lower("email")).exclude(email="")
        return users.filter(lower_email=lowered).first()
    return User.objects.alias(lower_name=Lower("username")).filter(lower_name=lowered).first()


class RoleBackend(BaseBackend):
    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        if username is None or password is None:
            return None
        user = find_user(username)
        if user is None:
            # The same work as for a real user, so that time does not tell them apart.
            User().set_password(password)
            return None
        return user if user.check_password(password) and user.is_active else None

    def get_user(self, user_id: Any) -> User | None:
        return User.objects.filter(pk=user_id, is_active=True).select_related("agent").first()

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        if not isinstance(user_obj, User) or not user_obj.is_active:
            return False
        if user_obj.is_supervisor:
            return perm.startswith(SUPERVISED_APPS)
        return user_obj.role == Role.AGENT and perm in AGENT_PERMISSIONS

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        return isinstance(user_obj, User) and user_obj.is_desk_staff
