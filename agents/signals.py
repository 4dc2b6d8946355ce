"""What the agents app announces. It knows no tickets; whoever does may listen."""

from django.dispatch import Signal

# An agent has chosen another availability, after commit.
# Provides: agent (AgentProfile), reassign (bool: they hand back what they have not started),
# at (datetime).
availability_changed = Signal()

# Somebody works on tickets no longer: deactivated, or a customer from now on. After commit.
# Provides: user (User), at (datetime).
left_service = Signal()

# Sessions have ended, or what somebody may see is another thing than before. After commit.
# Provides: user_ids (list of int: look again at what they have), ended (list of names of sessions,
# as `sessions.name_of` makes them, that are over for certain).
access_changed = Signal()
