"""The forms of business calendars: the hours themselves, and a country's holidays."""

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from servicedesk.errors import FieldError
from tickets.admin.hours import Dates, Hours
from tickets.admin.pointing import point_out
from tickets.models import Calendar
from tickets.services.setup import Day, check_calendar
from tickets.sla.calendar import WEEKDAYS
from tickets.sla.holidays import FIRST_YEAR, LAST_YEAR, countries

# Far more than the dates that a calendar may have, with their names.
MAX_TEXT = 300_000
MAX_YEARS = 20


class ZoneInput(forms.TextInput):
    """A line of text for which the browser suggests the known time zones."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        line = super().render(name, value, {**(attrs or {}), "list": "time-zones"}, renderer)
        zones = sorted(available_timezones() - {"localtime", "Factory"})
        options = format_html_join("", '<option value="{}">', ((zone,) for zone in zones))
        return format_html('{}<datalist id="time-zones">{}</datalist>', line, options)


class CalendarForm(forms.ModelForm):  # type: ignore[type-arg]
    monday, tuesday, wednesday, thursday = Hours(), Hours(), Hours(), Hours()
    friday, saturday, sunday = Hours(), Hours(), Hours()
    dates = Dates(
        rows=12,
        required=False,
        max_length=MAX_TEXT,
        label="Holidays and special days",
        help_text=(
            "One on each line. “2026-12-25 Christmas Day” is a holiday; "
            "“2026-12-24 Christmas Eve 09:00-12:00” has hours of its own."
        ),
    )

    class Meta:
        model = Calendar
        fields = ("name", "time_zone")
        widgets = {"time_zone": ZoneInput(attrs={"size": 40, "autocomplete": "off"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            week = {day: ["09:00-17:00"] for day in WEEKDAYS[:5]}
            self.initial = {**week, **self.initial}
            return
        rows = self.instance.dates.all()
        days = [Day(row.date, row.name, tuple(row.windows)) for row in rows]
        self.initial = {**self.instance.week, "dates": days, **self.initial}

    def fields_of_service(self) -> dict[str, Any]:
        """The cleaned data under the names of the services."""
        data = self.cleaned_data
        return {
            "name": data["name"],
            "time_zone": data["time_zone"],
            "week": {day: list(data[day]) for day in WEEKDAYS if data[day]},
            "holidays": [day for day in data["dates"] if not day.windows],
            "special_days": [day for day in data["dates"] if day.windows],
        }

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        given = self.fields_of_service()
        try:
            check_calendar(**{name: given[name] for name in given if name != "name"})
        except FieldError as refused:
            point_out(self, refused, lambda path, sentence: _place(given, path, sentence))


def _place(given: dict[str, Any], path: str, sentence: str) -> tuple[str, str]:
    """`week/monday` is the field `monday`; of all the dates, which."""
    kind, *rest = path.split("/")
    if kind == "week" and rest:
        return rest[0], sentence
    if kind in ("holidays", "special_days"):
        day = f"{given[kind][int(rest[0])].date}: " if rest else ""
        return "dates", f"{day}{sentence}"
    return path, sentence


class HolidaysForm(forms.Form):
    """Which holidays to add to a calendar."""

    country = forms.ChoiceField(choices=lambda: [("", "Choose a country"), *countries().items()])
    subdivision = forms.CharField(
        required=False,
        max_length=60,
        label="State or region",
        help_text="By its code, such as BY for Bavaria. Empty: what all of the country has.",
    )
    first_year = forms.IntegerField(min_value=FIRST_YEAR, max_value=LAST_YEAR, label="From")
    last_year = forms.IntegerField(min_value=FIRST_YEAR, max_value=LAST_YEAR, label="To")

    def __init__(self, data: Any = None) -> None:
        this_year = timezone.localdate().year
        super().__init__(data, initial={"first_year": this_year, "last_year": this_year + 1})

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if "first_year" in data and "last_year" in data:
            count = data["last_year"] - data["first_year"] + 1
            if not 1 <= count <= MAX_YEARS:
                self.add_error("last_year", f"From one year to {MAX_YEARS}, the earlier one first.")
        return data

    def fields_of_service(self) -> dict[str, Any]:
        data = self.cleaned_data
        return {
            "country": data["country"],
            "subdivision": data["subdivision"],
            "years": range(data["first_year"], data["last_year"] + 1),
        }
