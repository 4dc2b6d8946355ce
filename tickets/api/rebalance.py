"""Spreading work more evenly, for supervisors."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.callers import caller_of
from agents.api.permissions import IsSupervisor
from agents.api.serializers import NamedSerializer
from agents.models import Team
from servicedesk.api.fields import Flag, FromSerializer, Reference, StrictSerializer
from servicedesk.api.views import DeskAPIView, read_body, rendered
from tickets import services
from tickets.api.serializers import NotifiedTicketSerializer
from tickets.assignment.balancing import Proposal


class RebalanceSerializer(StrictSerializer):
    team = Reference(Team.objects.all(), required=False, allow_null=True, default=None)
    dry_run = Flag(default=True, help_text="Only say what would change hands.")


class MoveOfTicketSerializer(FromSerializer):
    from_ = NamedSerializer(source="giver")
    ticket = NotifiedTicketSerializer()
    to = NamedSerializer(source="taker")
    gain = serializers.FloatField(help_text="In points of the score, 0..1.")
    why = serializers.CharField()


class SpreadSerializer(serializers.Serializer[Any]):
    """Of the agents' utilisation: the largest, and the Gini coefficient."""

    max = serializers.FloatField()
    gini = serializers.FloatField()


class RebalancedSerializer(serializers.Serializer[Any]):
    dry_run = serializers.BooleanField()
    moves = MoveOfTicketSerializer(many=True)
    before = SpreadSerializer()
    after = SpreadSerializer()
    skipped = serializers.IntegerField(
        help_text="Moves that were not made, since something had changed meanwhile."
    )
    failed = serializers.IntegerField(help_text="Moves that were tried in vain.")


@extend_schema(tags=["people"])
class RebalanceView(DeskAPIView):
    permission_classes = (IsAuthenticated, IsSupervisor)

    @extend_schema(request=RebalanceSerializer, responses=RebalancedSerializer)
    def post(self, request: Request) -> Response:
        """Which unanswered tickets should change hands, and (with `dry_run: false`) doing it."""
        body = read_body(RebalanceSerializer, request)
        now, team = timezone.now(), body["team"]
        skipped = failed = 0
        proposal: Proposal
        if body["dry_run"]:
            proposal = services.propose_moves(team=team, at=now)
        else:
            done = services.rebalance(team=team, actor=caller_of(request), at=now)
            proposal, skipped, failed = done, done.skipped, done.failed
        data = {
            "dry_run": body["dry_run"],
            "moves": proposal.moves,
            "before": proposal.before,
            "after": proposal.after,
            "skipped": skipped,
            "failed": failed,
        }
        return Response(rendered(RebalancedSerializer, data))
