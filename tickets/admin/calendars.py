"""Business calendars in the console."""

from itertools import groupby
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from servicedesk.errors import FieldError
from tickets.admin.calendar_form import CalendarForm, HolidaysForm
from tickets.admin.pointing import point_out
from tickets.admin.setup import SetupAdmin
from tickets.models import Calendar
from tickets.services import setup
from tickets.sla.calendar import WEEKDAYS


@admin.register(Calendar)
class CalendarAdmin(SetupAdmin):
    form = CalendarForm
    list_display = ("name", "time_zone", "hours", "date_count", "policy_names")
    sortable_by = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "time_zone")}),
        (
            "Working hours",
            {
                "fields": WEEKDAYS,
                "description": (
                    "In local time, several by comma: 09:00-12:00, 13:00-17:30. A night shift is "
                    "22:00-06:00, a whole day 00:00-24:00. Empty: the day is off."
                ),
            },
        ),
        ("Dates", {"fields": ("dates",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).annotate(date_count=Count("dates"))
        return rows.prefetch_related("policies")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.import_holidays)
        own = path("<id:pk>/holidays/", view, name="tickets_calendar_holidays")
        return [own, *super().get_urls()]

    @admin.display(description="working hours")
    def hours(self, calendar: Calendar) -> str:
        """`Mon to Fri 09:00-17:00; Sat 10:00-14:00`."""
        days = groupby(WEEKDAYS, key=lambda day: ", ".join(calendar.week.get(day, [])))
        spans = [(hours, [day[:3].title() for day in same]) for hours, same in days if hours]
        return "; ".join(f"{' to '.join(_ends(names))} {hours}" for hours, names in spans)

    @admin.display(description="dates")
    def date_count(self, calendar: Any) -> int:
        return int(calendar.date_count)

    @admin.display(description="policies")
    def policy_names(self, calendar: Any) -> str:
        return ", ".join(policy.name for policy in calendar.policies.all())

    def data_of(self, form: Any) -> dict[str, Any]:
        fields: dict[str, Any] = form.fields_of_service()
        return fields

    def create(self, data: dict[str, Any]) -> Calendar:
        return setup.create_calendar(**data)

    def update(self, row: Any, data: dict[str, Any]) -> None:
        setup.update_calendar(calendar=row, **data)

    def import_holidays(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A page of its own: add the public holidays of a country."""
        calendar = get_object_or_404(Calendar, pk=pk)
        if not self.has_change_permission(request, calendar):
            raise PermissionDenied
        form = HolidaysForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            before = calendar.dates.count()
            try:
                setup.import_holidays(calendar=calendar, **form.fields_of_service())
            except FieldError as refused:
                point_out(form, refused, _place)
            else:
                messages.success(request, _added(calendar.dates.count() - before))
                return redirect("admin:tickets_calendar_change", pk)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Holidays for {calendar.name}",
            "opts": self.opts,
            "calendar": calendar,
            "form": form,
        }
        return TemplateResponse(request, "admin/tickets/calendar/holidays.html", context)


def _ends(names: list[str]) -> list[str]:
    return [names[0], names[-1]] if len(names) > 1 else names


def _place(path: str, sentence: str) -> tuple[str, str]:
    return ("first_year" if path == "years" else path), sentence


def _added(count: int) -> str:
    if not count:
        return "All of these holidays were in the calendar already."
    return f"{count} holiday{'' if count == 1 else 's'} added."
