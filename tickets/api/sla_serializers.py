"""Service levels as the API gives them: the sum, the clocks, and why they are due when they are.

All durations are whole seconds of working time.
"""

from datetime import datetime
from typing import Any

from rest_framework import serializers

from agents.api.serializers import NamedSerializer
from servicedesk.api.fields import FromSerializer
from tickets.lifecycle import Status
from tickets.models import Metric, SlaClock, Ticket
from tickets.sla.explain import Explanation, read_clocks
from tickets.sla.standing import SlaState, state_of


class ClockSerializer(serializers.Serializer[Any]):
    """A clock (tickets.sla.explain.Reading) as it stands now."""

    metric = serializers.ChoiceField(choices=Metric.choices, source="clock.metric")
    state = serializers.ChoiceField(choices=SlaClock.State.choices)
    target_seconds = serializers.IntegerField(source="clock.target_seconds")
    elapsed_seconds = serializers.IntegerField(
        source="elapsed",
        allow_null=True,
        help_text="Null where the policy that promised it is no longer in force.",
    )
    due_at = serializers.DateTimeField(
        source="clock.due_at", allow_null=True, help_text="Null while paused."
    )
    met_at = serializers.DateTimeField(source="clock.met_at", allow_null=True)
    breached_at = serializers.DateTimeField(allow_null=True)


class SlaSummarySerializer(serializers.Serializer[Any]):
    """How a ticket stands with what was promised."""

    policy = serializers.CharField(allow_null=True)
    state = serializers.ChoiceField(choices=SlaState.choices)
    next_due_at = serializers.DateTimeField(allow_null=True)


class SlaSerializer(SlaSummarySerializer):
    """The same with each clock, the oldest first."""

    clocks = ClockSerializer(many=True)


def summed_up(ticket: Ticket, at: datetime) -> dict[str, Any]:
    """What SlaSummarySerializer shows, from the ticket's row and its loaded policy alone."""
    return {
        "policy": ticket.sla_policy.name if ticket.sla_policy else None,
        "state": state_of(ticket, at),
        "next_due_at": ticket.sla_due_at,
    }


def in_full(ticket: Ticket, at: datetime) -> dict[str, Any]:
    """What SlaSerializer shows; at most three queries."""
    return {**summed_up(ticket, at), "clocks": read_clocks(ticket, at)}


class _SpanSerializer(FromSerializer):
    from_ = serializers.DateTimeField(source="since")
    to = serializers.DateTimeField(source="until")


class IntervalSerializer(_SpanSerializer):
    """Working time that counted."""

    seconds = serializers.IntegerField(
        help_text="Rounded so that those of a clock add up to its target, or to what has elapsed."
    )


class PauseSerializer(_SpanSerializer):
    """A stretch in one status in which the clock stood still."""

    to = serializers.DateTimeField(
        source="until", allow_null=True, help_text="Null while it lasts."
    )
    status = serializers.ChoiceField(choices=Status.choices)
    working_seconds = serializers.IntegerField(help_text="Working time that was not counted.")


class ExplanationSerializer(serializers.Serializer[Explanation]):
    """Why a clock is due when it is.

    The intervals reach from the start to the due time, also to one still to come, where the clock
    is running (late or not), and their seconds add up to `target_seconds`. For a paused clock they
    reach to now and for an ended one to its end, and add up to `elapsed_seconds`.
    """

    metric = serializers.ChoiceField(choices=Metric.choices, source="reading.clock.metric")
    cycle = serializers.IntegerField(
        source="reading.clock.cycle", help_text="Counts the clocks of the metric, from 1."
    )
    state = serializers.ChoiceField(choices=SlaClock.State.choices, source="reading.state")
    target_seconds = serializers.IntegerField(source="reading.clock.target_seconds")
    elapsed_seconds = serializers.IntegerField(source="reading.elapsed", allow_null=True)
    remaining_seconds = serializers.IntegerField(
        source="reading.remaining",
        allow_null=True,
        help_text="Target less elapsed, negative when late; null once the clock has ended.",
    )
    started_at = serializers.DateTimeField(source="reading.clock.started_at")
    warn_at = serializers.DateTimeField(source="reading.clock.warn_at", allow_null=True)
    due_at = serializers.DateTimeField(source="reading.clock.due_at", allow_null=True)
    met_at = serializers.DateTimeField(source="reading.clock.met_at", allow_null=True)
    breached_at = serializers.DateTimeField(source="reading.breached_at", allow_null=True)
    ended_at = serializers.DateTimeField(source="reading.clock.ended_at", allow_null=True)
    pauses = PauseSerializer(many=True)
    intervals = IntervalSerializer(many=True)
    truncated = serializers.BooleanField(
        source="is_truncated", help_text="Only the first intervals are listed."
    )
    exact = serializers.BooleanField(
        source="is_exact",
        help_text="False where the calendar or the policy has changed since the due time, or the "
        "end, was noted: then the intervals need not add up.",
    )


class CalendarNameSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    time_zone = serializers.CharField()


class DeadlineSerializer(serializers.Serializer[Any]):
    """A ticket's deadlines explained, as of `at`."""

    policy = NamedSerializer(allow_null=True)
    calendar = CalendarNameSerializer(
        allow_null=True, help_text="Null where the clocks run around the clock."
    )
    at = serializers.DateTimeField()
    clocks = ExplanationSerializer(many=True)
