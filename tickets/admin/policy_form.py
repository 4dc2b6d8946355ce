"""A policy as one types it: for which tickets, when the clocks run, and a grid of promises."""

from collections.abc import Iterator
from itertools import product
from typing import Any

from django import forms
from django.core.validators import MinValueValidator
from django.forms import BoundField

from servicedesk.errors import FieldError
from tickets.admin.pointing import point_out
from tickets.admin.spans import SpanField
from tickets.lifecycle import PAUSING_STATUSES
from tickets.models import Metric, Priority, SlaPolicy
from tickets.services.setup import Target, check_targets

PRIORITIES = sorted(Priority, reverse=True)
PAUSES = [(status.value, status.label) for status in PAUSING_STATUSES]


def cell(priority: Priority, metric: str) -> str:
    """The field's name: `high_resolution`."""
    return f"{priority.key}_{metric}"


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg]
    pauses = forms.MultipleChoiceField(
        choices=PAUSES,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Clocks pause while",
        initial=list(PAUSING_STATUSES),
    )

    class Meta:
        model = SlaPolicy
        fields = (
            "name", "is_active", "position", "calendar", "pauses", "categories", "teams",
            "requesters",
        )  # fmt: skip
        labels = {"is_active": "Active"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = self.instance.targets.all() if self.instance.pk else []
        promised = {row.priority: row for row in rows}
        for priority, metric in product(PRIORITIES, Metric):
            label = f"{metric.label}, priority {priority.label.lower()}"
            self.fields[cell(priority, metric)] = SpanField(
                label=label,
                initial=getattr(promised.get(priority), metric, None),
                validators=[MinValueValidator(1, "More than nothing.")],
            )

    def grid(self) -> Iterator[tuple[str, list[BoundField]]]:
        """A row for each priority, the most urgent first, with a field for each metric."""
        for priority in PRIORITIES:
            yield str(priority.label), [self[cell(priority, metric)] for metric in Metric]

    @property
    def metrics(self) -> list[str]:
        return [str(metric.label) for metric in Metric]

    def targets(self) -> list[Target]:
        """What the grid holds, without its empty rows."""
        rows = []
        for priority in PRIORITIES:
            promises = {str(metric): self.cleaned_data[cell(priority, metric)] for metric in Metric}
            if any(seconds is not None for seconds in promises.values()):
                rows.append(Target(priority, **promises))
        return rows

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        targets = self.targets()
        try:
            check_targets(targets)
        except FieldError as refused:
            point_out(self, refused, lambda path, sentence: (_cell(targets, path), sentence))

    def fields_of_service(self) -> dict[str, Any]:
        data = self.cleaned_data
        return {**{name: data[name] for name in self.Meta.fields}, "targets": self.targets()}


def _cell(targets: list[Target], path: str) -> str:
    """The field for a path such as `targets/0/resolution`."""
    _, *rest = path.split("/")
    return cell(targets[int(rest[0])].priority, rest[1]) if len(rest) == 2 else path
