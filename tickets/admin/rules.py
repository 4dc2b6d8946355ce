"""Escalation rules in the console: when, for which tickets, what then."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from servicedesk.errors import FieldError
from tickets.admin.conditions import conditions
from tickets.admin.pointing import point_out
from tickets.admin.setup import SetupAdmin
from tickets.admin.spans import HINT, SpanField, written
from tickets.models import EscalationRule, Priority
from tickets.models.ticket import MAX_ESCALATION_LEVEL
from tickets.services import setup

LEVELS = [("", "---------"), *((level, str(level)) for level in range(1, MAX_ESCALATION_LEVEL + 1))]


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    after_seconds = SpanField(
        label="After",
        help_text=f"{HINT} Needed where nobody has answered or has the ticket; of working time.",
    )
    level = forms.TypedChoiceField(
        choices=LEVELS,
        required=False,
        coerce=int,
        empty_value=None,
        label="Raise the level to",
        help_text="At least; a ticket above it stays there.",
    )
    notifies = forms.MultipleChoiceField(
        choices=EscalationRule.Recipient.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Notify",
    )

    class Meta:
        model = EscalationRule
        fields = (
            "name", "is_active", "trigger", "metric", "after_seconds", "reopen_count",
            "categories", "teams", "min_priority", "level", "raises_priority", "reassigns",
            "notifies",
        )  # fmt: skip
        labels = {
            "is_active": "Active",
            "trigger": "Trigger",
            "metric": "Service level",
            "reopen_count": "From which reopening on",
            "min_priority": "Priority at least",
            "raises_priority": "Raise the priority",
            "reassigns": "Reassign",
        }
        help_texts = {
            "metric": "Of a warning or a breach; empty: any of them.",
            "reopen_count": "Of a reopened ticket only: 1 is the first time.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # At once is written as nothing.
        self.initial["after_seconds"] = self.initial.get("after_seconds") or None

    def clean_after_seconds(self) -> int:
        return self.cleaned_data["after_seconds"] or 0

    def _post_clean(self) -> None:
        # The instance has the form's values by then.
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            setup.check_rule(self.instance)
        except FieldError as refused:
            point_out(self, refused)


@admin.register(EscalationRule)
class EscalationRuleAdmin(SetupAdmin):
    form = RuleForm
    list_display = ("name", "is_active", "when", "applies_to", "then")
    list_filter = ("is_active", "trigger")
    sortable_by = ("name",)
    autocomplete_fields = ("categories", "teams")
    fieldsets = (
        (None, {"fields": ("name", "is_active")}),
        ("When", {"fields": ("trigger", "metric", "after_seconds", "reopen_count")}),
        (
            "For which tickets",
            {
                "fields": ("categories", "teams", "min_priority"),
                "description": "What is left empty is no condition.",
            },
        ),
        ("Then", {"fields": ("level", "raises_priority", "reassigns", "notifies")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("categories", "teams")

    @admin.display(description="when")
    def when(self, rule: EscalationRule) -> str:
        details = [
            rule.get_metric_display() if rule.metric else "",
            f"after {written(rule.after_seconds)}" if rule.after_seconds else "",
            f"from reopening {rule.reopen_count} on" if rule.reopen_count else "",
        ]
        return ", ".join(filter(None, [rule.get_trigger_display(), *details]))

    @admin.display(description="tickets")
    def applies_to(self, rule: EscalationRule) -> str:
        least = rule.min_priority and f"{Priority(rule.min_priority).label} and above"
        return conditions(rule.categories.all(), rule.teams.all(), [least] if least else [])

    @admin.display(description="then")
    def then(self, rule: EscalationRule) -> str:
        told = [
            EscalationRule.Recipient(one).label.lower()
            for one in rule.notifies
            if one in EscalationRule.Recipient
        ]
        steps = [
            f"level {rule.level}" if rule.level else "",
            "priority up" if rule.raises_priority else "",
            "reassign" if rule.reassigns else "",
            f"notify {', '.join(told)}" if told else "",
        ]
        return "; ".join(filter(None, steps))

    def create(self, data: dict[str, Any]) -> EscalationRule:
        return setup.create_rule(**data)

    def update(self, row: Any, data: dict[str, Any]) -> None:
        setup.update_rule(rule=row, **data)
