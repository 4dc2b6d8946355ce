"""Calendars, SLA policies and escalation rules, for supervisors."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from agents.api.permissions import IsSupervisor
from servicedesk.api.views import DeskViewSet, read_body, rendered
from tickets.api import sla_setup_inputs as inputs
from tickets.api import sla_setup_serializers as shapes
from tickets.models import Calendar, EscalationRule, SlaPolicy
from tickets.services import setup

AnyViews = TypeVar("AnyViews", bound="type[SetupViewSet]")


class SetupViewSet(DeskViewSet):
    """Rows of one kind: listed, made, read, changed and deleted."""

    permission_classes = (IsAuthenticated, IsSupervisor)
    new: ClassVar[type[BaseSerializer[Any]]]
    changes: ClassVar[type[BaseSerializer[Any]]]

    def list(self, request: Request) -> Response:
        return self.page_of(self.get_queryset())

    def create(self, request: Request) -> Response:
        row = self.make(read_body(self.new, request))
        return Response(self._shown(row.pk), 201)

    def retrieve(self, request: Request, pk: int) -> Response:
        return Response(self._shown(pk))

    def partial_update(self, request: Request, pk: int) -> Response:
        self.change(self._row(pk), read_body(self.changes, request))
        return Response(self._shown(pk))

    def destroy(self, request: Request, pk: int) -> Response:
        setup.delete(self._row(pk))
        return Response(status=204)

    def make(self, fields: dict[str, Any]) -> Any:
        """A new row, by its service."""
        raise NotImplementedError

    def change(self, row: Any, fields: dict[str, Any]) -> None:
        """The row changed, by its service."""
        raise NotImplementedError

    def _row(self, pk: int) -> Any:
        return get_object_or_404(self.get_queryset().model, pk=pk)

    def _shown(self, pk: int) -> Any:
        return rendered(self.get_serializer_class(), get_object_or_404(self.get_queryset(), pk=pk))


def described(noun: str, nouns: str) -> Callable[[AnyViews], AnyViews]:
    """The operations of such a viewset in the API's document."""

    def describe(views: AnyViews) -> AnyViews:
        shape: Any = views().get_serializer_class()
        gone = OpenApiResponse(description="Deleted.")
        operations = extend_schema_view(
            list=extend_schema(description=f"All {nouns}."),
            create=extend_schema(
                description=f"A new {noun}.", request=views.new, responses={201: shape}
            ),
            retrieve=extend_schema(description=f"One {noun}.", responses=shape),
            partial_update=extend_schema(
                description=f"Change what is given of a {noun}; lists replace.",
                request=views.changes,
                responses=shape,
            ),
            destroy=extend_schema(
                description=f"Delete a {noun} that is not in use.", responses={204: gone}
            ),
        )
        described_views: AnyViews = extend_schema(tags=["service levels"])(operations(views))
        return described_views

    return describe


@described("calendar", "business calendars")
class CalendarViewSet(SetupViewSet):
    queryset: QuerySet[Calendar] = Calendar.objects.prefetch_related("dates")
    serializer_class = shapes.CalendarSerializer
    new, changes = inputs.NewCalendarSerializer, inputs.CalendarChangesSerializer
    ordering = "name"

    def make(self, fields: dict[str, Any]) -> Calendar:
        return setup.create_calendar(**fields)

    def change(self, row: Calendar, fields: dict[str, Any]) -> None:
        setup.update_calendar(calendar=row, **fields)

    @extend_schema(
        request=inputs.HolidayImportSerializer, responses={200: shapes.CalendarSerializer}
    )
    def holidays(self, request: Request, pk: int) -> Response:
        """Add a country's public holidays; dates that are in the calendar already stay."""
        body = read_body(inputs.HolidayImportSerializer, request)
        setup.import_holidays(calendar=self._row(pk), **body)
        return Response(self._shown(pk))


@described("SLA policy", "SLA policies, by position: the first that applies is a ticket's")
class PolicyViewSet(SetupViewSet):
    queryset: QuerySet[SlaPolicy] = SlaPolicy.objects.prefetch_related(
        "targets", "categories", "teams", "requesters"
    )
    serializer_class = shapes.PolicySerializer
    new, changes = inputs.NewPolicySerializer, inputs.PolicyChangesSerializer
    ordering = "position"

    def make(self, fields: dict[str, Any]) -> SlaPolicy:
        return setup.create_policy(**fields)

    def change(self, row: SlaPolicy, fields: dict[str, Any]) -> None:
        setup.update_policy(policy=row, **fields)


@described("escalation rule", "escalation rules")
class RuleViewSet(SetupViewSet):
    queryset: QuerySet[EscalationRule] = EscalationRule.objects.prefetch_related(
        "categories", "teams"
    )
    serializer_class = shapes.RuleSerializer
    new, changes = inputs.NewRuleSerializer, inputs.RuleChangesSerializer
    ordering = "name"

    def make(self, fields: dict[str, Any]) -> EscalationRule:
        return setup.create_rule(**fields)

    def change(self, row: EscalationRule, fields: dict[str, Any]) -> None:
        setup.update_rule(rule=row, **fields)
