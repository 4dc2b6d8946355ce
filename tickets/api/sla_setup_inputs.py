"""What the API takes of calendars, SLA policies and escalation rules.

A PATCH takes what is to change; a list replaces the one that was there.
"""

import re
from datetime import date
from typing import Any

from rest_framework import serializers

from agents.models import Team, User
from servicedesk.api.fields import (
    Bounded,
    Flag,
    Line,
    Reference,
    References,
    StrictSerializer,
    Whole,
)
from tickets.api.serializers import PriorityField
from tickets.lifecycle import PAUSING_STATUSES
from tickets.models import Calendar, Category, EscalationRule, Metric
from tickets.models.sla import MAX_TARGET
from tickets.models.ticket import MAX_ESCALATION_LEVEL
from tickets.services.setup import Day, Target
from tickets.services.setup.calendars import MAX_DATES, MAX_NAME
from tickets.sla.holidays import FIRST_YEAR, LAST_YEAR

MAX_WINDOWS = 24
MAX_POSITION = 2**31 - 1
PLAIN_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
PAUSES = [(status.value, status.label) for status in PAUSING_STATUSES]


class PlainDate(serializers.DateField):
    """YYYY-MM-DD and none of the other spellings that ISO 8601 has."""

    def to_internal_value(self, value: Any) -> date:
        if not isinstance(value, str) or not PLAIN_DATE.fullmatch(value):
            self.fail("invalid", format="YYYY-MM-DD")
        return super().to_internal_value(value)


class Windows(Bounded):
    """Hours of a day, such as "09:00-17:30", or "22:00-06:00" overnight."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=Line(max_length=11), max_length=MAX_WINDOWS, **kwargs)


class WeekSerializer(StrictSerializer):
    """Windows by weekday, in local time. A day that is missing or empty is off."""

    monday = Windows(required=False)
    tuesday = Windows(required=False)
    wednesday = Windows(required=False)
    thursday = Windows(required=False)
    friday = Windows(required=False)
    saturday = Windows(required=False)
    sunday = Windows(required=False)


class HolidaySerializer(StrictSerializer):
    date = PlainDate()
    name = Line(max_length=MAX_NAME, default="", allow_blank=True)


class SpecialDaySerializer(HolidaySerializer):
    """A date with hours of its own instead of the weekday's."""

    windows = Windows()


class CalendarChangesSerializer(StrictSerializer):
    name = Line(max_length=100, required=False)
    time_zone = Line(max_length=64, required=False, help_text="A name such as Europe/Berlin.")
    week = WeekSerializer(required=False)
    holidays = Bounded(child=HolidaySerializer(), max_length=MAX_DATES, required=False)
    special_days = Bounded(child=SpecialDaySerializer(), max_length=MAX_DATES, required=False)

    def validate_holidays(self, given: list[dict[str, Any]]) -> list[Day]:
        return [Day(**day) for day in given]

    def validate_special_days(self, given: list[dict[str, Any]]) -> list[Day]:
        return [Day(day["date"], day["name"], tuple(day["windows"])) for day in given]


class NewCalendarSerializer(CalendarChangesSerializer):
    name = Line(max_length=100)
    week = WeekSerializer()


class HolidayImportSerializer(StrictSerializer):
    country = Line(max_length=2, help_text="ISO 3166-1, such as DE.")
    subdivision = Line(
        max_length=60, default="", allow_blank=True, help_text="A state or region, such as BY."
    )
    years = Bounded(
        child=Whole(min_value=FIRST_YEAR, max_value=LAST_YEAR), min_length=1, max_length=20
    )


class Seconds(Whole):
    """A promise, in seconds of working time; null for none."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=MAX_TARGET, default=None, allow_null=True, **kwargs)


class TargetSerializer(StrictSerializer):
    """What tickets of one priority are promised; at least one of the three."""

    priority = PriorityField()
    first_response = Seconds()
    next_response = Seconds()
    resolution = Seconds()


class PolicyChangesSerializer(StrictSerializer):
    name = Line(max_length=100, required=False)
    is_active = Flag(required=False)
    position = Whole(min_value=0, max_value=MAX_POSITION, required=False)
    calendar = Reference(Calendar.objects.all(), required=False, allow_null=True)
    pauses = Bounded(
        child=serializers.ChoiceField(choices=PAUSES), max_length=len(PAUSES) * 2, required=False
    )
    categories = References(Category.objects.all(), required=False)
    teams = References(Team.objects.all(), required=False)
    requesters = References(User.objects.all(), required=False)
    targets = Bounded(child=TargetSerializer(), max_length=20, required=False)

    def validate_targets(self, given: list[dict[str, Any]]) -> list[Target]:
        return [Target(**target) for target in given]


class NewPolicySerializer(PolicyChangesSerializer):
    name = Line(max_length=100)
    targets = Bounded(child=TargetSerializer(), max_length=20)


class RuleChangesSerializer(StrictSerializer):
    name = Line(max_length=100, required=False)
    is_active = Flag(required=False)
    trigger = serializers.ChoiceField(choices=EscalationRule.Trigger.choices, required=False)
    metric = serializers.ChoiceField(
        choices=Metric.choices, required=False, allow_null=True, help_text="null: any of them."
    )
    after_seconds = Whole(min_value=0, max_value=MAX_TARGET, required=False)
    reopen_count = Whole(min_value=1, max_value=100, required=False, allow_null=True)
    categories = References(Category.objects.all(), required=False)
    teams = References(Team.objects.all(), required=False)
    min_priority = PriorityField(required=False, allow_null=True)
    level = Whole(min_value=1, max_value=MAX_ESCALATION_LEVEL, required=False, allow_null=True)
    raises_priority = Flag(required=False)
    reassigns = Flag(required=False)
    notifies = Bounded(
        child=serializers.ChoiceField(choices=EscalationRule.Recipient.choices),
        max_length=20,
        required=False,
    )

    def validate_metric(self, given: str | None) -> str:
        return given or ""


class NewRuleSerializer(RuleChangesSerializer):
    name = Line(max_length=100)
    trigger = serializers.ChoiceField(choices=EscalationRule.Trigger.choices)
