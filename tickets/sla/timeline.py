"""A ticket's time as its policy counts it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tickets.lifecycle import ENDED_STATUSES
from tickets.sla.configuration import Policy
from tickets.sla.periods import Period, merged


@dataclass(frozen=True)
class Timeline:
    """The statuses that a ticket has been in up to `at`, and the policy that says which count."""

    policy: Policy
    periods: Sequence[Period]
    at: datetime

    @property
    def still_statuses(self) -> set[str]:
        """Those in which the clocks stand still: which the policy names, and the ended ones."""
        return {*self.policy.pauses, *ENDED_STATUSES}

    def pauses(self, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
        """When the clocks stood still between two instants."""
        return merged(self.periods, self.still_statuses, since, until)

    def elapsed(self, since: datetime, until: datetime) -> timedelta:
        """Working time between two instants, without the pauses."""
        working = self.policy.calendar.working
        paused = (working(begin, end) for begin, end in self.pauses(since, until))
        return working(since, until) - sum(paused, timedelta())

    def reach(self, since: datetime, target: timedelta) -> datetime:
        """The instant at which `target` of working time has passed since then, if nothing more
        is paused. A pause of so much working time moves it by exactly that."""
        calendar = self.policy.calendar
        reached = calendar.add(since, target)
        for begin, end in self.pauses(since, self.at):
            if begin >= reached:
                break
            reached = calendar.add(reached, calendar.working(begin, end))
        return reached
