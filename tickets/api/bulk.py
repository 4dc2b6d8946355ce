"""The same change of many tickets at once."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.callers import caller_of
from agents.api.permissions import IsStaff
from servicedesk.api.fields import MAX_ID, Bounded, NothingThere, StrictSerializer, Whole
from servicedesk.api.idempotency import Steps
from servicedesk.api.responses import Answer
from servicedesk.api.views import DeskViewSet, read_body
from tickets import services
from tickets.api import inputs
from tickets.lifecycle import Status
from tickets.models import Ticket
from tickets.services.bulk import MAX_TICKETS

ACTIONS = ("status", "assign", "priority", "tag")


class BulkSerializer(StrictSerializer):
    """Which tickets, and what to do with them; each action has members of its own."""

    ids = Bounded(child=Whole(), min_length=1, max_length=MAX_TICKETS)
    action = serializers.ChoiceField(choices=ACTIONS)


class BulkStatusSerializer(BulkSerializer, inputs.StatusChangeSerializer):
    """`action` is `status`."""


class BulkAssignSerializer(BulkSerializer, inputs.AssignSerializer):
    """`action` is `assign`."""


class BulkPrioritySerializer(BulkSerializer, inputs.PriorityChangeSerializer):
    """`action` is `priority`."""


class BulkTagSerializer(BulkSerializer):
    """`action` is `tag`: puts tags on and takes tags off, and leaves the others as they are."""

    add = inputs.TagNames(default=list)
    remove = inputs.TagNames(default=list)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        add, remove = ({name.lower() for name in attrs[key]} for key in ("add", "remove"))
        if not add and not remove:
            raise serializers.ValidationError({"add": "Name a tag to add or to remove."})
        if both := add & remove:
            raise serializers.ValidationError({"remove": f"Also to be added: {sorted(both)[0]}."})
        return attrs


SHAPES: dict[str, type[BulkSerializer]] = {
    "status": BulkStatusSerializer,
    "assign": BulkAssignSerializer,
    "priority": BulkPrioritySerializer,
    "tag": BulkTagSerializer,
}


class OutcomeSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    ok = serializers.BooleanField()
    code = serializers.CharField(required=False, help_text="Why not, as of a problem.")
    detail = serializers.CharField(required=False)


class OutcomesSerializer(serializers.Serializer[Any]):
    results = OutcomeSerializer(many=True)


@extend_schema(tags=["work"])
class BulkViewSet(DeskViewSet):
    queryset = Ticket.objects.none()
    permission_classes = (IsAuthenticated, IsStaff)
    serializer_class = OutcomesSerializer
    pagination_class = None
    answers_in_steps = True

    @extend_schema(
        request=PolymorphicProxySerializer(
            component_name="BulkChange",
            serializers=list(SHAPES.values()),
            resource_type_field_name=None,
        ),
        responses={200: OutcomesSerializer},
    )
    def create(self, request: Request) -> Response:
        """Change up to 200 tickets in one way, each by itself; a refused one stops no other.

        With the members of the single change: `status` (`status`, `comment`, `internal`,
        `resolution`), `assign` (`assignee`, `force`), `priority` (`priority`, `reason`), and `tag`
        (`add`, `remove`). Where one of the ids is hidden or unknown nothing is done: 404.

        Under an `Idempotency-Key` no ticket is changed twice; one that was `unavailable` or met an
        `internal_error` is tried again when the request is sent again.
        """
        body = read_body(_shape_of(request.data), request)
        ids, action = list(dict.fromkeys(body.pop("ids"))), body.pop("action")
        tickets = _all_visible(request, ids)
        by = {"actor": caller_of(request), "at": timezone.now()}
        outcomes = services.change_each(
            tickets=tickets, change=partial(CHANGES[action], body, by), once=Steps(request).take
        )
        shown = {"results": [_shown(outcomes[pk]) for pk in ids]}
        is_kept = all(outcome.is_certain for outcome in outcomes.values())
        return Answer(lambda: shown, is_kept=is_kept)


def _shape_of(data: Any) -> type[BulkSerializer]:
    """That of the action; where there is no such action, the one that says so."""
    return SHAPES.get(str(data.get("action")), BulkSerializer)


def _all_visible(request: Request, ids: list[int]) -> list[Ticket]:
    """Raises NothingThere where the caller sees fewer."""
    found = Ticket.objects.visible_to(caller_of(request)).defer("description", "resolution")
    tickets = list(found.filter(pk__in=[pk for pk in ids if 0 < pk <= MAX_ID]))
    if len(tickets) != len(ids):
        raise NothingThere("ids")
    return tickets


def _shown(outcome: services.Outcome) -> dict[str, Any]:
    shown = {"id": outcome.id, "ok": outcome.ok}
    return shown if outcome.ok else {**shown, "code": outcome.code, "detail": outcome.detail}


def _move(body: dict[str, Any], by: dict[str, Any], ticket: Ticket) -> None:
    services.change_status(
        ticket=ticket,
        to=Status(body["status"]),
        comment=body["comment"],
        is_internal=body["internal"],
        resolution=body["resolution"],
        **by,
    )


def _assign(body: dict[str, Any], by: dict[str, Any], ticket: Ticket) -> None:
    if body["assignee"] == inputs.AssigneeField.AUTO:
        services.assign_automatically(ticket=ticket, **by)
    else:
        services.assign(ticket=ticket, to=body["assignee"], force=body["force"], **by)


def _prioritise(body: dict[str, Any], by: dict[str, Any], ticket: Ticket) -> None:
    services.change_priority(ticket=ticket, to=body["priority"], reason=body["reason"], **by)


def _tag(body: dict[str, Any], by: dict[str, Any], ticket: Ticket) -> None:
    services.change_tags(ticket=ticket, add=body["add"], remove=body["remove"], **by)


CHANGES: dict[str, Callable[[dict[str, Any], dict[str, Any], Ticket], None]] = {
    "status": _move,
    "assign": _assign,
    "priority": _prioritise,
    "tag": _tag,
}
