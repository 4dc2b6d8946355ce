"""Who is connected right now, and who looks at which ticket.

Presence is an open socket, known for as long as it is renewed; *availability* is what an agent has
decided, and stands in the database. Everything here is best effort: a caller carries on without it
(`PresenceUnavailable`).
"""

from realtime.presence.memory import MemoryPresence
from realtime.presence.reading import current_states, make_store, process_store
from realtime.presence.redis import RedisPresence
from realtime.presence.store import (
    EXPIRE_SECONDS,
    LEASE_SECONDS,
    LINGER_SECONDS,
    MAX_VIEWERS,
    RENEW_SECONDS,
    Change,
    Lease,
    PresenceStore,
    PresenceUnavailable,
    State,
    Viewer,
)

__all__ = [
    "EXPIRE_SECONDS",
    "LEASE_SECONDS",
    "LINGER_SECONDS",
    "MAX_VIEWERS",
    "RENEW_SECONDS",
    "Change",
    "Lease",
    "MemoryPresence",
    "PresenceStore",
    "PresenceUnavailable",
    "RedisPresence",
    "State",
    "Viewer",
    "current_states",
    "make_store",
    "process_store",
]
