"""WHO: people with a role, agents with capacity and skills, teams, and signed-in sessions."""

from agents.models.profile import AgentProfile, AgentSkill, Availability
from agents.models.session import Session, SignInFailures
from agents.models.team import Named, Skill, Team
from agents.models.user import Role, User, has_desk_role, new_security_stamp, supervises

__all__ = [
    "AgentProfile",
    "AgentSkill",
    "Availability",
    "Named",
    "Role",
    "Session",
    "SignInFailures",
    "Skill",
    "Team",
    "User",
    "has_desk_role",
    "new_security_stamp",
    "supervises",
]
