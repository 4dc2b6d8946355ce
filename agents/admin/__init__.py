"""People and teams in the console."""

from django.contrib import admin
from django.contrib.auth import admin as _  # noqa: F401 (so that it is there to be taken out)
from django.contrib.auth.models import Group

from agents.admin.profiles import AgentProfileAdmin
from agents.admin.teams import SkillAdmin, TeamAdmin
from agents.admin.users import UserAdmin

# What somebody may do follows from their role; groups would promise what nothing keeps.
admin.site.unregister(Group)

__all__ = ["AgentProfileAdmin", "SkillAdmin", "TeamAdmin", "UserAdmin"]
