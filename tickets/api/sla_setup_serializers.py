"""What the API gives of calendars, SLA policies and escalation rules."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from servicedesk.api.views import rendered
from tickets.api.serializers import PriorityField
from tickets.api.sla_setup_inputs import PAUSES
from tickets.models import Calendar, CalendarDate, EscalationRule, Metric, SlaPolicy, SlaTarget
from tickets.sla.calendar import WEEKDAYS


class WindowList(serializers.ListField):
    child = serializers.CharField()


@extend_schema_field(serializers.ListField(child=serializers.IntegerField()))
class Ids(serializers.Field[Any, Any, Any, Any]):
    """The ids of related rows, in order, out of what was prefetched."""

    def __init__(self) -> None:
        super().__init__(read_only=True)

    def to_representation(self, value: Any) -> list[int]:
        return sorted(row.pk for row in value.all())


class WeekShape(serializers.Serializer[dict[str, list[str]]]):
    """Every weekday, those that are off with an empty list."""

    monday = WindowList()
    tuesday = WindowList()
    wednesday = WindowList()
    thursday = WindowList()
    friday = WindowList()
    saturday = WindowList()
    sunday = WindowList()


class HolidayShape(serializers.Serializer[CalendarDate]):
    date = serializers.DateField()
    name = serializers.CharField()


class SpecialDayShape(HolidayShape):
    windows = WindowList()


class CalendarSerializer(serializers.Serializer[Calendar]):
    """A calendar. Its dates are loaded."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    time_zone = serializers.CharField()
    week = serializers.SerializerMethodField()
    holidays = serializers.SerializerMethodField()
    special_days = serializers.SerializerMethodField()

    @extend_schema_field(WeekShape)
    def get_week(self, calendar: Calendar) -> dict[str, list[str]]:
        return {day: calendar.week.get(day, []) for day in WEEKDAYS}

    @extend_schema_field(HolidayShape(many=True))
    def get_holidays(self, calendar: Calendar) -> Any:
        days = [day for day in calendar.dates.all() if not day.windows]
        return rendered(HolidayShape, days)

    @extend_schema_field(SpecialDayShape(many=True))
    def get_special_days(self, calendar: Calendar) -> Any:
        days = [day for day in calendar.dates.all() if day.windows]
        return rendered(SpecialDayShape, days)


class TargetShape(serializers.Serializer[SlaTarget]):
    priority = PriorityField()
    first_response = serializers.IntegerField(allow_null=True)
    next_response = serializers.IntegerField(allow_null=True)
    resolution = serializers.IntegerField(allow_null=True)


class PolicySerializer(serializers.Serializer[SlaPolicy]):
    """A policy. Its targets and conditions are loaded."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    is_active = serializers.BooleanField()
    position = serializers.IntegerField()
    calendar = serializers.IntegerField(source="calendar_id", allow_null=True)
    pauses = serializers.ListField(child=serializers.ChoiceField(choices=PAUSES))
    categories = Ids()
    teams = Ids()
    requesters = Ids()
    targets = TargetShape(many=True)


class RuleSerializer(serializers.Serializer[EscalationRule]):
    """A rule. Its conditions are loaded."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    is_active = serializers.BooleanField()
    trigger = serializers.ChoiceField(choices=EscalationRule.Trigger.choices)
    metric = serializers.SerializerMethodField()
    after_seconds = serializers.IntegerField()
    reopen_count = serializers.IntegerField(allow_null=True)
    categories = Ids()
    teams = Ids()
    min_priority = PriorityField(allow_null=True)
    level = serializers.IntegerField(allow_null=True)
    raises_priority = serializers.BooleanField()
    reassigns = serializers.BooleanField()
    notifies = serializers.ListField(
        child=serializers.ChoiceField(choices=EscalationRule.Recipient.choices)
    )

    @extend_schema_field(serializers.ChoiceField(choices=Metric.choices, allow_null=True))
    def get_metric(self, rule: EscalationRule) -> str | None:
        return rule.metric or None
